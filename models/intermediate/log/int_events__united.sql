{{ config(materialized='view') }}

with

final as (

    {% for format in log_formats() -%}
    select
        '{{ format }}' as source_format,
        source_file,
        row_number,
        event_id,
        search_key,
        search_id,
        application,
        action,
        event_at,
        arrived_at,
        client_id,
        logged_user_id,
        logged_session_id,
        user_agent,
        doc_id,
        ordinal,
        list_rank,
        explicit_dwell_seconds
    from {{ ref('stg_' ~ format ~ '__events') }}
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select * from final
