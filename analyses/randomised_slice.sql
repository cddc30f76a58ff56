-- How large a shuffled slice of the traffic, for how long, tells how well each rank is examined?
with

impressions as (

    select * from {{ ref('fct_impressions') }}

),

propensities as (

    select * from {{ ref('fct_position_propensities') }}
    where is_active and propensity is not null

),

-- the first ten places are shuffled: deeper ones have too few clicks to be worth it
ranks as (

    select
        impressions.rank,
        count(*) as n_impressions,
        sum(impressions.clicked) as n_clicks,
        sum(cast(propensities.propensity as decimal(38, 12))) / count(*) as propensity,
        sum(
            cast(impressions.clicked / propensities.propensity as decimal(38, 12))
        ) as n_weighted_clicks
    from impressions
    inner join propensities
        on
            impressions.propensity_context = propensities.context
            and impressions.rank = propensities.rank
    where impressions.rank <= 10
    group by impressions.rank

),

traffic as (

    select
        count(distinct search_id) as n_searches,
        count(distinct cast(searched_at as date)) as n_days
    from impressions

),

-- shuffled, every place shows what the page attracts on average
pages as (

    select
        sum(n_clicks) as n_clicks,
        sum(n_weighted_clicks) / sum(n_impressions) as mean_attraction,
        sum(n_impressions * propensity) as exposure
    from ranks

),

shares as (

    select cast(0.01 as double) as shuffled_share
    union all
    select 0.02
    union all
    select 0.05
    union all
    select 0.1
    union all
    select 0.2

),

lengths as (

    select 7 as n_days
    union all
    select 14
    union all
    select 28

),

slices as (

    select
        shares.shuffled_share,
        lengths.n_days
    from shares
    cross join lengths

),

-- a share of clicks is binomial, and the variance of its logarithm (1 - p) / clicks, from some
-- thirty clicks on
expected as (

    select
        slices.shuffled_share,
        slices.n_days,
        ranks.rank,
        slices.shuffled_share * slices.n_days / traffic.n_days * ranks.n_impressions
        * ranks.propensity * pages.mean_attraction as n_clicks,
        1 - ranks.propensity * pages.mean_attraction as share_not_clicked
    from slices
    cross join ranks
    cross join traffic
    cross join pages

),

-- a curve is told in units of rank 1, whose clicks are uncertain too
told as (

    select
        below.shuffled_share,
        below.n_days,
        below.rank,
        below.n_clicks,
        sqrt(
            below.share_not_clicked / nullif(below.n_clicks, 0)
            + first_rank.share_not_clicked / nullif(first_rank.n_clicks, 0)
        ) as std_error_log
    from expected as below
    inner join expected as first_rank
        on
            below.shuffled_share = first_rank.shuffled_share
            and below.n_days = first_rank.n_days
            and first_rank.rank = 1
    where below.rank > 1

),

final as (

    select
        told.shuffled_share,
        told.n_days,
        cast(
            round(told.shuffled_share * told.n_days / max(traffic.n_days) * max(traffic.n_searches))
            as bigint
        ) as n_searches,
        min(told.n_clicks) as n_clicks_at_least,
        max(case when told.rank = 2 then told.std_error_log end) as std_error_log_of_rank_2,
        max(case when told.rank = 5 then told.std_error_log end) as std_error_log_of_rank_5,
        max(case when told.rank = 10 then told.std_error_log end) as std_error_log_of_rank_10,
        max(told.std_error_log) as std_error_log_at_most,
        told.shuffled_share
        * (1 - max(pages.mean_attraction) * max(pages.exposure) / nullif(max(pages.n_clicks), 0))
            as share_of_clicks_lost
    from told
    cross join traffic
    cross join pages
    group by told.shuffled_share, told.n_days

)

select * from final
order by shuffled_share, n_days
