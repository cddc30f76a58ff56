{{ config(materialized='view') }}

with

flat_rows as (

    select * from {{ ref('base_flat__rows') }}
    where rejection_reason is null

),

contested as (

    select * from {{ ref('base_flat__contested') }}

),

final as (

    select flat_rows.*
    from flat_rows
    left join contested
        on
            flat_rows.source_file = contested.source_file
            and flat_rows.row_number = contested.row_number
    where contested.row_number is null

)

select * from final
