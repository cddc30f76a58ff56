{{ config(severity='warn') }}

{# Rows that arrive long after their time: a pipeline that stalls shows here first. #}
with

late_arrivals as (

    select * from {{ ref('fct_late_arrivals') }}

),

shares as (

    select
        source,
        event_date,
        sum(case when lag_bucket in ('within_a_week', 'later') then n_rows else 0 end)
        / cast(sum(n_rows) as double) as share_late
    from late_arrivals
    group by source, event_date

)

select * from shares
where share_late > {{ var('max_late_share') }}
