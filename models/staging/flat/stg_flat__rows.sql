{{ config(materialized='view') }}

with

flat_rows as (

    select * from {{ ref('base_flat__rows') }}

),

contested as (

    select * from {{ ref('base_flat__contested') }}

),

final as (

    select
        'flat' as source,
        flat_rows.source_file,
        flat_rows.row_number,
        flat_rows.arrived_at,
        flat_rows.searched_at as logged_at,
        flat_rows.search_id as search_key,
        flat_rows.search_id,
        flat_rows.query,
        flat_rows.doc_id,
        flat_rows.ordinal,
        case when flat_rows.is_clicked then 'click' else 'impression' end as action,
        coalesce(flat_rows.unread_text, flat_rows.rejected_text) as payload,
        coalesce(flat_rows.rejection_reason, contested.rejection_reason) as rejection_reason,
        coalesce(contested.is_duplicate, false) as is_merged
    from flat_rows
    left join contested
        on
            flat_rows.source_file = contested.source_file
            and flat_rows.row_number = contested.row_number

)

select * from final
