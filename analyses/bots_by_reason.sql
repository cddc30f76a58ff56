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

final as (

    select
        reason,
        count(*) as n_sessions,
        sum(n_searches) as n_searches,
        sum(n_clicks) as n_clicks,
        sum(n_searches) / nullif(cast((select sum(n_searches) from sessions) as double), 0)
            as share_of_searches
    from reasons
    group by reason

)

select * from final
order by n_searches desc, reason
