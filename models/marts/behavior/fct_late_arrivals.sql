with

rows_judged as (

    select * from {{ ref('int_input_rows__judged') }}
    where outcome = 'used'

),

files as (

    select * from {{ ref('int_files__arrivals') }}

),

lags as (

    select
        rows_judged.source,
        cast(rows_judged.logged_at as date) as event_date,
        greatest(0, coalesce(
            {{ epoch_seconds('files.frontier_at') }} - {{ epoch_seconds('rows_judged.logged_at') }},
            0
        )) as lag_seconds
    from rows_judged
    inner join files on rows_judged.source_file = files.source_file

),

bucketed as (

    select
        *,
        case
            when lag_seconds <= 0 then 'on_time'
            when lag_seconds <= 3600 then 'within_an_hour'
            when lag_seconds <= 86400 then 'within_a_day'
            when lag_seconds <= 604800 then 'within_a_week'
            else 'later'
        end as lag_bucket
    from lags

),

counted as (

    select
        source,
        event_date,
        lag_bucket,
        count(*) as n_rows,
        max(lag_seconds) as max_lag_seconds
    from bucketed
    group by source, event_date, lag_bucket

),

final as (

    select
        cast(source as string) as source,
        cast(lag_bucket as string) as lag_bucket,
        cast(n_rows as bigint) as n_rows,
        cast(n_rows as double)
        / sum(n_rows) over (partition by source, event_date) as share_of_rows,
        cast(max_lag_seconds as double) as max_lag_seconds,
        cast(event_date as date) as event_date
    from counted

)

select * from final
