-- What could not be used, from which file, and what did it look like?
with

quarantined as (

    select * from {{ ref('fct_quarantined_rows') }}

),

final as (

    select
        source_file,
        reason,
        count(*) as n_rows,
        min(row_number) as first_row,
        min_by(payload, row_number) as first_payload
    from quarantined
    group by source_file, reason

)

select * from final
order by n_rows desc, source_file, reason
