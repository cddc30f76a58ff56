{{ config(materialized='view') }}

with

usable as (

    select * from {{ ref('base_flat__usable') }}
    where is_clicked

),

final as (

    select
        source_file,
        row_number,
        {# One click a search and document, whatever file and line it stood in. #}
        md5(search_id || '|' || doc_id) as event_id,
        search_id as search_key,
        search_id,
        'click' as action,
        clicked_at as event_at,
        arrived_at,
        'flat' as application,
        cast(null as string) as client_id,
        logged_user_id,
        logged_session_id,
        user_agent,
        doc_id,
        ordinal,
        cast(null as bigint) as list_rank,
        dwell_seconds as explicit_dwell_seconds
    from usable

)

select * from final
