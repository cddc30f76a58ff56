{{ config(materialized='view') }}

with

searches as (

    select * from {{ ref('base_ubi__searches') }}

),

final as (

    select
        search_key,
        search_id,
        searched_at,
        arrived_at,
        query,
        application,
        client_id,
        logged_user_id,
        logged_session_id,
        user_agent,
        ip_hash,
        device,
        variant,
        model_version,
        has_query_row
    from searches

)

select * from final
