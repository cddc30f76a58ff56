-- How likely is each rank looked at, by each estimator and in each context?
with

propensities as (

    select * from {{ ref('fct_position_propensities') }}

),

diagnostics as (

    select * from {{ ref('fct_propensity_diagnostics') }}

),

final as (

    select
        propensities.estimator,
        propensities.context,
        propensities.rank,
        propensities.propensity,
        propensities.ci_low,
        propensities.ci_high,
        propensities.n_impressions,
        propensities.n_clicks,
        propensities.is_identified,
        propensities.is_active,
        coalesce(diagnostics.estimator_words, propensities.estimator) as estimator_words,
        coalesce(diagnostics.is_assumption, false) as is_assumption
    from propensities
    left join diagnostics
        on
            propensities.estimator = diagnostics.estimator
            and propensities.context = diagnostics.context

)

select * from final
order by is_active desc, estimator, context, rank
