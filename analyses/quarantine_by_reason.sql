-- What could not be used, where was it first seen, and what did it look like?
with

quarantined as (

    select * from {{ ref('fct_quarantined_rows') }}

),

final as (

    select
        source,
        reason,
        count(*) as n_rows,
        count(distinct source_file) as n_files,
        min(source_file) as first_file,
        min_by(row_number, (source_file, row_number)) as first_row,
        min_by(payload, (source_file, row_number)) as first_payload
    from quarantined
    group by source, reason

)

select * from final
order by n_rows desc, source, reason
