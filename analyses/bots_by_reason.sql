-- Which rules find the bots, and how much of the traffic would they have distorted?
with

sessions as (

    select * from {{ ref('fct_sessions') }}

),

reasons as (

    select
        unnest(case when is_bot then bot_reasons else ['human'] end) as reason,
        session_id,
        n_searches,
        n_clicks
    from sessions

),

totals as (

    select sum(n_searches) as n_searches_in_all
    from sessions

),

final as (

    select
        reasons.reason,
        count(*) as n_sessions,
        sum(reasons.n_searches) as n_searches,
        sum(reasons.n_clicks) as n_clicks,
        sum(reasons.n_searches)
        / nullif(cast(max(totals.n_searches_in_all) as double), 0) as share_of_searches
    from reasons
    cross join totals
    group by reasons.reason

)

select * from final
order by n_searches desc, reason
