with

rows_judged as (

    select * from {{ ref('int_input_rows__judged') }}
    where outcome = 'quarantined'

),

final as (

    select
        cast(document_id as string) as quarantine_id,
        cast(source as string) as source,
        cast(source_file as string) as source_file,
        cast(reason as string) as reason,
        cast(search_id as string) as search_id,
        cast(payload as string) as payload,
        cast(row_number as bigint) as row_number,
        cast(payload_length as bigint) as payload_length
    from rows_judged

)

select * from final
