{{ config(materialized='view') }}

with

documents as (

    select * from {{ ref('base_ubi__distinct') }}
    where document_kind = 'query'

),

final as (

    select
        source_file,
        row_number,
        search_key,
        query_id as search_id,
        logged_at as searched_at,
        arrived_at,
        user_query as query,
        application,
        client_id,
        logged_user_id,
        logged_session_id,
        user_agent,
        ip_hash,
        device,
        variant,
        model_version,
        is_randomised,
        hit_ids,
        rejection_reason,
        is_superseded
    from documents

)

select * from final
