with

searches as (

    select * from {{ ref('int_canary_searches__served') }}

),

users as (

    select * from {{ ref('int_canary_users__exposed') }}

),

clicks as (

    select * from {{ ref('fct_searches') }}

),

final as (

    select
        searches.deployment_id,
        searches.user_id,
        users.assigned_variant,
        cast(count(*) as bigint) as n_searches,
        cast(sum(clicks.n_clicks) as bigint) as n_clicks
    from searches
    inner join users
        on
            searches.deployment_id = users.deployment_id
            and searches.user_id = users.user_id
    inner join clicks on searches.search_id = clicks.search_id
    group by searches.deployment_id, searches.user_id, users.assigned_variant

)

select * from final
