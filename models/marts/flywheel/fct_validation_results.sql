{# A view, so that what `flywheel validate` wrote is there at once, and not after the next build. #}
{{ config(materialized='view') }}

with

results as (

    select * from {{ source('flywheel_state', 'validation_results') }}

),

{# Each success opens a new streak, so a streak holds the failures after one. #}
streaks as (

    select
        *,
        count(case when is_success then 1 end) over (
            partition by expectation_id
            order by run_at, run_id
            rows between unbounded preceding and current row
        ) as streak
    from results

),

failures as (

    select
        *,
        min(case when not is_success then run_at end) over (
            partition by expectation_id, streak
        ) as first_failed_at,
        row_number() over (
            partition by expectation_id
            order by run_at desc, run_id desc
        ) as recency
    from streaks

),

final as (

    select
        cast(run_id || ':' || expectation_id as string) as validation_result_id,
        cast(run_id as string) as run_id,
        cast(run_at as timestamp) as run_at,
        cast(expectation_id as string) as expectation_id,
        cast(gate as string) as gate,
        cast(table_name as string) as table_name,
        cast(column_name as string) as column_name,
        cast(expectation as string) as expectation,
        cast(expected as string) as expected,
        cast(severity as string) as severity,
        cast(status as string) as status,
        cast(is_success as boolean) as is_success,
        cast(observed as string) as observed,
        cast(observed_value as double) as observed_value,
        cast(unexpected_count as bigint) as unexpected_count,
        cast(reason as string) as reason,
        cast(case when not is_success then first_failed_at end as timestamp) as failing_since,
        cast(recency = 1 as boolean) as is_newest
    from failures

)

select * from final
