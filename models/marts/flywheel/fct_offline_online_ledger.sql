with

deployments as (

    select * from {{ source('flywheel_state', 'deployments') }}

),

models as (

    select * from {{ ref('dim_model_versions') }}

),

verdicts as (

    select * from {{ ref('fct_offline_verdicts') }}

),

observed as (

    select * from {{ ref('int_canary_clicks__compared') }}

),

{# What was evaluated is the judged model; what users see may be its refit. #}
judged as (

    select
        deployments.*,
        coalesce(models.refit_of, deployments.challenger_version) as judged_version
    from deployments
    left join models on deployments.challenger_version = models.model_version

),

{# The evaluation that the deployment rests on is the last one before it. #}
numbered_verdicts as (

    select
        judged.deployment_id,
        verdicts.*,
        row_number() over (
            partition by judged.deployment_id
            order by verdicts.evaluated_at desc, verdicts.evaluation_id desc
        ) as recency
    from judged
    inner join verdicts
        on
            judged.judged_version = verdicts.model_version
            and judged.champion_version = verdicts.champion_version
            and judged.started_at >= verdicts.evaluated_at

),

predicted as (

    select * from numbered_verdicts
    where recency = 1

),

final as (

    select
        cast(judged.deployment_id as string) as deployment_id,
        cast(judged.challenger_version as string) as challenger_version,
        cast(judged.champion_version as string) as champion_version,
        cast(predicted.evaluation_id as string) as evaluation_id,
        cast(predicted.verdict as string) as offline_verdict,
        cast(judged.canary_share as double) as canary_share,
        cast(judged.outcome as string) as outcome,
        cast(predicted.relative_delta as double) as predicted_delta,
        cast(predicted.relative_delta_ci_low as double) as predicted_ci_low,
        cast(predicted.relative_delta_ci_high as double) as predicted_ci_high,
        cast(predicted.support as double) as support,
        cast(predicted.changed_share as double) as changed_share,
        cast(observed.relative_delta as double) as observed_delta,
        cast(observed.ci_low as double) as observed_ci_low,
        cast(observed.ci_high as double) as observed_ci_high,
        cast(observed.champion_clicks as double) as champion_clicks_per_search,
        cast(observed.canary_clicks as double) as canary_clicks_per_search,
        cast(coalesce(observed.n_champion_users, 0) as bigint) as n_champion_users,
        cast(coalesce(observed.n_canary_users, 0) as bigint) as n_canary_users,
        cast(coalesce(observed.n_searches, 0) as bigint) as n_searches,
        cast(observed.relative_delta - predicted.relative_delta as double) as gap,
        cast(
            observed.ci_low <= predicted.relative_delta_ci_high
            and observed.ci_high >= predicted.relative_delta_ci_low
            as boolean
        ) as is_consistent,
        cast(judged.started_at as timestamp) as started_at,
        cast(judged.ended_at as timestamp) as ended_at
    from judged
    left join predicted on judged.deployment_id = predicted.deployment_id
    left join observed on judged.deployment_id = observed.deployment_id

)

select * from final
