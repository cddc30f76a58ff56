{#
    The rules that mark a visitor's day as a bot's: name and condition over
    int_visitor_days__bot_signals. Every condition is wrapped so that it is never null. Sources of
    the thresholds are in docs/vars.md.
#}
{% macro bot_rules() %}
    {% set rules = {
        'user_agent': 'has_bot_user_agent',
        'searches_per_day': 'n_searches > ' ~ var('bot_max_searches_per_day'),
        'events_per_minute': 'max_events_per_minute >= ' ~ var('bot_max_events_per_minute'),
        'regular_gaps':
            'n_searches >= ' ~ var('bot_min_regular_searches')
            ~ ' and gap_variation < ' ~ var('bot_max_gap_variation'),
        'repeated_query':
            'n_searches >= ' ~ var('bot_min_repeated_searches')
            ~ ' and n_distinct_queries < ' ~ var('bot_max_distinct_query_share')
            ~ ' * n_searches',
        'searches_without_click':
            'n_clicks = 0 and n_searches >= ' ~ var('bot_min_clickless_searches'),
        'rapid_clicks':
            'n_clicks >= ' ~ var('bot_min_rapid_clicks')
            ~ ' and median_click_gap_seconds < ' ~ var('bot_max_rapid_click_seconds'),
    } %}
    {{ return(rules) }}
{% endmacro %}
