{{ config(materialized='view') }}

with

documents as (

    select * from {{ ref('base_ubi__distinct') }}
    where document_kind = 'event'

),

final as (

    select
        source_file,
        row_number,
        content_id as event_id,
        search_key,
        query_id as search_id,
        action,
        logged_at as event_at,
        arrived_at,
        application,
        client_id,
        logged_user_id,
        logged_session_id,
        user_agent,
        ip_hash,
        device,
        case when {{ has_text('user_query') }} then user_query end as query,
        object_id as doc_id,
        ordinal,
        dwell_seconds as explicit_dwell_seconds,
        rejection_reason
    from documents

)

select * from final
