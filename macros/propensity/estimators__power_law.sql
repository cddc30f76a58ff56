{# An assumption, not an estimate: it has no replicates and hence no interval. #}
{% macro estimators__power_law(ranks) %}
    select
        context,
        0 as replicate,
        rank,
        {{ power_law_propensity('rank', var('propensity_alpha')) }} as propensity,
        n_impressions,
        n_clicks,
        cast(null as double) as last_step_change
    from {{ ranks }}
{% endmacro %}
