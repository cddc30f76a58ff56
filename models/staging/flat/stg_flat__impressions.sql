{{ config(materialized='view') }}

with

usable as (

    select * from {{ ref('base_flat__usable') }}

),

final as (

    select
        source_file,
        row_number,
        search_id as search_key,
        search_id,
        'flat' as application,
        doc_id,
        ordinal,
        cast(null as bigint) as list_rank,
        'row' as impression_source,
        1 as preference,
        false as is_contested,
        cast(null as timestamp) as shown_at,
        is_randomised,
        ordinal_before_swap,
        logging_propensity,
        grade,
        is_converted
    from usable

)

select * from final
