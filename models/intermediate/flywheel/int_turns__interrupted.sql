{# A view: `flywheel run` asks it after a build, and again once it has written those turns down. #}
{{ config(materialized='view') }}

with

deployments as (

    select * from {{ source('flywheel_state', 'deployments') }}

),

iterations as (

    select * from {{ source('flywheel_state', 'iterations') }}

),

evaluations as (

    select * from {{ source('flywheel_state', 'evaluations') }}

),

models as (

    select * from {{ ref('int_models__moved') }}

),

{# A deployment that a larger share took over from handed its turn on with the canary. #}
untold as (

    select deployments.*
    from deployments
    left join iterations on deployments.deployment_id = iterations.deployment_id
    where
        iterations.iteration_id is null
        and coalesce(deployments.outcome, 'running') <> 'ramped'

),

{# What was evaluated is the judged model, what was deployed may be its refit. #}
judged as (

    select
        untold.*,
        coalesce(models.refit_of, untold.challenger_version) as judged_version
    from untold
    left join models on untold.challenger_version = models.model_version

),

numbered_evaluations as (

    select
        *,
        row_number() over (
            partition by model_version, champion_version
            order by requested_at desc, evaluation_id desc
        ) as recency
    from evaluations

),

final as (

    select
        judged.deployment_id,
        judged.started_at,
        judged.judged_version as challenger_version,
        judged.challenger_version as deployed_version,
        judged.champion_version,
        numbered_evaluations.evaluation_id,
        judged.canary_share
    from judged
    left join numbered_evaluations
        on
            judged.judged_version = numbered_evaluations.model_version
            and judged.champion_version = numbered_evaluations.champion_version
            and numbered_evaluations.recency = 1

)

select * from final
