with

iterations as (

    select * from {{ source('flywheel_state', 'iterations') }}

),

verdicts as (

    select * from {{ ref('fct_offline_verdicts') }}

),

online as (

    select * from {{ ref('int_deployments__decided') }}

),

final as (

    select
        cast(iterations.iteration_id as string) as iteration_id,
        cast(iterations.iteration as integer) as iteration,
        cast(iterations.started_at as timestamp) as started_at,
        cast(iterations.finished_at as timestamp) as finished_at,
        cast(iterations.challenger_version as string) as challenger_version,
        cast(iterations.champion_version as string) as champion_version,
        cast(iterations.evaluation_id as string) as evaluation_id,
        cast(iterations.deployment_id as string) as deployment_id,
        cast(
            case when verdicts.evaluation_id is not null then 'relative_clicks' end as string
        ) as offline_metric,
        cast(1 + verdicts.relative_delta as double) as offline_value,
        cast(verdicts.relative_delta as double) as offline_delta,
        cast(verdicts.relative_delta_ci_low as double) as offline_delta_ci_low,
        cast(verdicts.relative_delta_ci_high as double) as offline_delta_ci_high,
        cast(verdicts.verdict as string) as offline_verdict,
        cast(verdicts.verdict = 'better' as boolean) as is_better_offline,
        cast(online.metric as string) as online_metric,
        cast(online.delta as double) as online_delta,
        cast(online.ci_low as double) as online_delta_ci_low,
        cast(online.ci_high as double) as online_delta_ci_high,
        cast(online.look as integer) as online_look,
        {# A challenger that never reached users has no online decision, but the loop's own word. #}
        cast(coalesce(online.decision, iterations.status) as string) as decision,
        cast(coalesce(online.reason, iterations.reason) as string) as reason,
        cast(iterations.status as string) as status,
        cast(iterations.fingerprint as string) as fingerprint
    from iterations
    left join verdicts
        on
            iterations.evaluation_id = verdicts.evaluation_id
            and iterations.challenger_version = verdicts.model_version
    left join online
        on iterations.deployment_id = online.deployment_id

)

select * from final
