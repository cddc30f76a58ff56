{#
    The vars that incremental tables are built by. A table half built by one rule and half by
    another would be neither: where one of these changes, everything is derived anew.
#}
{% macro rule_vars() %}
    {{ return([
        'earliest_plausible_at', 'latest_plausible_at', 'max_rank', 'max_query_length',
        'rank_base_zero_share', 'session_timeout_minutes', 'clock_skew_seconds',
        'attribution_minutes', 'sat_dwell_seconds', 'pogo_dwell_seconds', 'reformulation_seconds',
        'censored_click_is_sat', 'bot_user_agent_patterns', 'human_user_agent_patterns',
        'bot_max_searches_per_day', 'bot_max_events_per_minute', 'bot_min_active_hours',
        'bot_min_regular_searches', 'bot_max_gap_variation', 'bot_min_repeated_searches',
        'bot_max_distinct_query_share', 'bot_min_clickless_searches', 'bot_min_few_click_searches',
        'bot_max_clicked_share', 'bot_deep_rank', 'bot_min_deep_searches', 'bot_min_rapid_clicks',
        'bot_max_rapid_click_seconds', 'bot_min_document_visits', 'bot_min_document_share',
        'bot_max_document_dwell_seconds', 'bot_typing_seconds', 'bot_max_few_clicks_chance',
        'bot_max_deep_few_clicks_chance', 'bot_click_rate_bands', 'bot_min_click_rate_days',
        'propensity_contexts',
        'jackknife_groups',
    ]) }}
{% endmacro %}
