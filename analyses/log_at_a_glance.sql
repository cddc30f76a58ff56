-- How much is in the log, from how many, and how much of it is human?
with

searches as (

    select * from {{ ref('fct_searches') }}

),

impressions as (

    select * from {{ ref('fct_impressions') }}

),

shown as (

    select
        count(*) as n_impressions,
        cast(sum(clicked) as bigint) as n_clicks
    from impressions

),

searched as (

    select
        count(*) as n_searches,
        count(case when not is_bot then 1 end) as n_human_searches,
        count(distinct session_id) as n_sessions,
        count(distinct user_id) as n_users,
        min(searched_at) as log_start,
        max(searched_at) as log_end
    from searches

),

final as (

    select
        searched.*,
        shown.n_impressions,
        shown.n_clicks
    from searched
    cross join shown

)

select * from final
