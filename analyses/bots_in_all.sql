-- How much traffic is automatic, whatever gave it away?
with

searches as (

    select * from {{ ref('fct_searches') }}
    where is_bot

),

sessions as (

    select * from {{ ref('fct_sessions') }}
    where is_bot

),

searched as (

    select
        count(*) as n_searches,
        count(distinct user_id) as n_users
    from searches

),

visited as (

    select count(*) as n_sessions
    from sessions

),

final as (

    select
        searched.n_searches,
        visited.n_sessions,
        searched.n_users
    from searched
    cross join visited

)

select * from final
