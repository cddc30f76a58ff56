{# Every rank fully examined: raw clicks, to compare the others with. #}
{% macro estimators__none(ranks) %}
    select
        context,
        0 as replicate,
        rank,
        cast(1 as double) as propensity,
        n_impressions,
        n_clicks,
        cast(null as double) as last_step_change
    from {{ ranks }}
{% endmacro %}
