{{ config(materialized='table') }}

with

rows_judged as (

    select * from {{ ref('int_input_rows__judged') }}

),

files as (

    select
        source_file,
        min(arrived_at) as arrived_at,
        max(case when outcome <> 'quarantined' then logged_at end) as last_event_at
    from rows_judged
    group by source_file

),

{#
    How far the log had come when a file arrived: the latest event of all files before it. A
    first file, however old what it tells, is behind nothing.
#}
final as (

    select
        source_file,
        arrived_at,
        last_event_at,
        max(last_event_at) over (
            order by arrived_at
            range between unbounded preceding and interval '1' microsecond preceding
        ) as frontier_at
    from files

)

select * from final
