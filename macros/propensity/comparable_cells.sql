{#
    The cells as estimators compare them. Where the serving regimes leave nothing to compare, all
    of a context's days are one regime (int_propensity_regimes decides). Where the log has several
    contexts, all of them together are one more, '*': a thin context leans on its curve. A
    document is taken anew in each context, because devices show and attract differently.
#}
{% macro comparable_cells(cells, regimes) %}
    select
        cells.context,
        cells.jackknife_group,
        case
            when regimes.is_pooled_over_regimes then '*'
            else cells.serving_regime
        end as serving_regime,
        cells.query,
        cells.doc_id,
        cells.rank,
        cells.is_randomised,
        cells.n_impressions,
        cells.n_clicks,
        cells.weighted_impressions,
        cells.weighted_clicks
    from {{ cells }} as cells
    inner join {{ regimes }} as regimes
        on cells.context = regimes.context

    union all

    select
        '*' as context,
        cells.jackknife_group,
        cells.context || ' ' || case
            when regimes.is_pooled_over_regimes then '*'
            else cells.serving_regime
        end as serving_regime,
        cells.query,
        cells.doc_id,
        cells.rank,
        cells.is_randomised,
        cells.n_impressions,
        cells.n_clicks,
        cells.weighted_impressions,
        cells.weighted_clicks
    from {{ cells }} as cells
    inner join {{ regimes }} as regimes
        on cells.context = regimes.context
    where regimes.n_contexts > 1
{% endmacro %}
