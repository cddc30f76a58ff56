{#
    What canary metrics are ratios of (seeds/metrics.csv): sums over what a user did on a day, a
    line each. `value` is what one search adds, with the columns of fct_searches, or one session,
    with those of fct_sessions; `per` says which.
#}
{% macro canary_sums() %}
    {{ return([
        {'name': 'searches', 'per': 'search', 'value': '1'},
        {'name': 'clicked_searches', 'per': 'search',
            'value': 'case when searches.n_clicks > 0 then 1 else 0 end'},
        {'name': 'sessions', 'per': 'session', 'value': '1'},
        {'name': 'successful_sessions', 'per': 'session',
            'value': 'case when sessions.is_success then 1 else 0 end'},
    ]) }}
{% endmacro %}
