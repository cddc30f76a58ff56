-- Which rules find the bots, and how much of the traffic would they have distorted?
with

searches as (

    select * from {{ ref('fct_searches') }}

),

sessions as (

    select * from {{ ref('fct_sessions') }}

),

search_reasons as (

    select
        unnest(bot_reasons) as reason,
        user_id,
        n_clicks
    from searches
    where is_bot

),

session_reasons as (

    select unnest(bot_reasons) as reason
    from sessions
    where is_bot

),

by_search as (

    select
        reason,
        count(*) as n_searches,
        count(distinct user_id) as n_users,
        sum(n_clicks) as n_clicks
    from search_reasons
    group by reason

),

by_session as (

    select
        reason,
        count(*) as n_sessions
    from session_reasons
    group by reason

),

totals as (

    select count(*) as n_searches_in_all
    from searches

),

final as (

    select
        coalesce(by_search.reason, by_session.reason) as reason,
        coalesce(by_search.n_searches, 0) as n_searches,
        coalesce(by_session.n_sessions, 0) as n_sessions,
        coalesce(by_search.n_users, 0) as n_users,
        cast(coalesce(by_search.n_clicks, 0) as bigint) as n_clicks,
        coalesce(by_search.n_searches, 0)
        / nullif(cast(totals.n_searches_in_all as double), 0) as share_of_searches
    from by_search
    full outer join by_session on by_search.reason = by_session.reason
    cross join totals

)

select * from final
order by n_searches desc, n_sessions desc, reason
