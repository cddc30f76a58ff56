{# An assumption, not an estimate: it has no replicates and hence no interval. #}
{% macro power_law_propensities(ranks, alpha) %}
    select
        context,
        0 as replicate,
        rank,
        {{ power_law_propensity('rank', alpha) }} as propensity,
        n_impressions,
        n_clicks,
        cast(null as double) as last_step_change
    from {{ ranks }}
{% endmacro %}
