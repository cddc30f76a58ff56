-- Where did the rows of each file go?
with

reconciliation as (

    select * from {{ ref('fct_input_reconciliation') }}

),

final as (

    select
        source,
        source_file,
        n_rows,
        n_used,
        n_merged,
        n_quarantined
    from reconciliation

)

select * from final
order by source, source_file
