-- How likely is each rank looked at, by each estimator and in each context?
with

propensities as (

    select * from {{ ref('fct_position_propensities') }}

),

final as (

    select
        estimator,
        context,
        rank,
        propensity,
        ci_low,
        ci_high,
        n_impressions,
        n_clicks,
        is_identified,
        is_active
    from propensities

)

select * from final
order by is_active desc, estimator, context, rank
