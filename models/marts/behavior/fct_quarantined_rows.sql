with

rows_judged as (

    select * from {{ ref('int_input_rows__judged') }}
    where outcome = 'quarantined'

),

final as (

    select
        cast(document_id as varchar) as quarantine_id,
        cast(source as varchar) as source,
        cast(source_file as varchar) as source_file,
        cast(reason as varchar) as reason,
        cast(search_id as varchar) as search_id,
        cast(payload as varchar) as payload,
        cast(row_number as bigint) as row_number,
        cast(payload_length as bigint) as payload_length
    from rows_judged

)

select * from final
