-- What came of each turn of the loop?
with

turns as (

    select * from {{ ref('fct_flywheel_iterations') }}

),

final as (

    select
        iteration_id,
        iteration,
        started_at,
        finished_at,
        challenger_version,
        champion_version,
        deployment_id,
        offline_metric,
        offline_delta,
        offline_delta_ci_low,
        offline_delta_ci_high,
        online_delta,
        online_delta_ci_low,
        online_delta_ci_high,
        online_metric,
        decision,
        reason,
        fingerprint
    from turns

)

select * from final
order by iteration, started_at, iteration_id
