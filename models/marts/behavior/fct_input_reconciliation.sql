with

rows_judged as (

    select * from {{ ref('int_input_rows__judged') }}

),

final as (

    select
        cast(source as string) as source,
        cast(source_file as string) as source_file,
        cast(logged_at as date) as event_date,
        cast(count(*) as bigint) as n_rows,
        cast(count(case when outcome = 'used' then 1 end) as bigint) as n_used,
        cast(count(case when outcome = 'merged' then 1 end) as bigint) as n_merged,
        cast(count(case when outcome = 'quarantined' then 1 end) as bigint) as n_quarantined
    from rows_judged
    group by source, source_file, cast(logged_at as date)

)

select * from final
