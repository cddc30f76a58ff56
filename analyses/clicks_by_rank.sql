-- How fast do clicks fall with the rank, and how much of that is position alone?
with

impressions as (

    select * from {{ ref('fct_impressions') }}

),

propensities as (

    select * from {{ ref('fct_position_propensities') }}
    where is_active

),

by_rank as (

    select
        propensity_context as context,
        rank,
        count(*) as n_impressions,
        cast(sum(clicked) as bigint) as n_clicks,
        avg(clicked) as click_rate
    from impressions
    group by propensity_context, rank

),

final as (

    select
        by_rank.context,
        by_rank.rank,
        by_rank.n_impressions,
        by_rank.n_clicks,
        by_rank.click_rate,
        propensities.propensity,
        by_rank.click_rate / nullif(propensities.propensity, 0) as debiased_click_rate
    from by_rank
    left join propensities
        on by_rank.context = propensities.context and by_rank.rank = propensities.rank

)

select * from final
order by context, rank
