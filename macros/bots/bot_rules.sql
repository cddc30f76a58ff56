{#
    The rules that mark a visitor's day as a bot's: name and condition over
    int_visitor_days__bot_signals. Every condition is wrapped so that it is never null. Where the
    thresholds come from stands in docs/vars.md, how well the rules do in docs/bots.md.
#}
{% macro bot_rules() %}
    {% set rules = {
        'user_agent': 'has_bot_user_agent',
        'searches_per_day': 'n_searches > ' ~ var('bot_max_searches_per_day'),
        'events_per_minute': 'max_events_per_minute >= ' ~ var('bot_max_events_per_minute'),
        'round_the_clock': 'n_active_hours >= ' ~ var('bot_min_active_hours'),
        'regular_gaps':
            'n_searches >= ' ~ var('bot_min_regular_searches')
            ~ ' and gap_variation < ' ~ var('bot_max_gap_variation'),
        'repeated_query':
            'n_text_searches >= ' ~ var('bot_min_repeated_searches')
            ~ ' and n_distinct_queries < ' ~ var('bot_max_distinct_query_share')
            ~ ' * n_text_searches',
        'rapid_clicks':
            'n_visits >= ' ~ var('bot_min_rapid_clicks')
            ~ ' and median_click_gap_seconds < ' ~ var('bot_max_rapid_click_seconds'),
        'one_document':
            'n_top_document_visits >= ' ~ var('bot_min_document_visits')
            ~ ' and n_top_document_visits >= ' ~ var('bot_min_document_share') ~ ' * n_visits'
            ~ ' and top_document_dwell_seconds < ' ~ var('bot_max_document_dwell_seconds'),
    } %}
    {{ return(rules) }}
{% endmacro %}

{#
    The rules that take a visitor for a bot because so little is clicked: name, condition, and the
    chance above which a person of the site might have clicked as little (few_clicks_chance).
#}
{% macro few_clicks_rules() %}
    {% set rules = {
        'searches_without_click': {
            'condition':
                'n_clicks = 0 and n_searches >= ' ~ var('bot_min_clickless_searches'),
            'max_chance': var('bot_max_few_clicks_chance'),
        },
        'few_clicks': {
            'condition':
                'n_searches >= ' ~ var('bot_min_few_click_searches')
                ~ ' and n_clicked_searches < ' ~ var('bot_max_clicked_share') ~ ' * n_searches',
            'max_chance': var('bot_max_few_clicks_chance'),
        },
        'deep_paging': {
            'condition':
                'n_deep_searches >= ' ~ var('bot_min_deep_searches')
                ~ ' and n_clicked_searches < ' ~ var('bot_max_clicked_share') ~ ' * n_searches',
            'max_chance': var('bot_max_deep_few_clicks_chance'),
        },
    } %}
    {{ return(rules) }}
{% endmacro %}
