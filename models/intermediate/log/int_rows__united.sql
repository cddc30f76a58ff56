{{ config(materialized='view') }}

with

final as (

    {% for format in log_formats() -%}
    select
        source,
        source_file,
        row_number,
        arrived_at,
        logged_at,
        search_key,
        search_id,
        query,
        doc_id,
        ordinal,
        action,
        payload,
        rejection_reason,
        is_merged
    from {{ ref('stg_' ~ format ~ '__rows') }}
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select * from final
