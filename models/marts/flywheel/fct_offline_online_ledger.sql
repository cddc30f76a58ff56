{% set n_star = var('canary_planned_users') %}
{% set error = 1 - var('confidence_level') %}

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

users as (

    select * from {{ ref('int_canary_users__clicked') }}

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

arms as (

    select
        deployment_id,
        assigned_variant as variant,
        count(*) as n_users,
        cast(sum(n_searches) as double) as sum_d,
        cast(sum(n_clicks) as double) as sum_y,
        cast(sum(n_searches * n_searches) as double) as sum_dd,
        cast(sum(n_clicks * n_clicks) as double) as sum_yy,
        cast(sum(n_clicks * n_searches) as double) as sum_yd
    from users
    group by deployment_id, assigned_variant

),

paired as (

    select
        champion.deployment_id,
        champion.n_users as n_champion_users,
        canary.n_users as n_canary_users,
        cast(champion.n_users + canary.n_users as double) as n_users,
        champion.sum_d + canary.sum_d as n_searches,
        {{ ratio('champion.sum_y', 'champion.sum_d') }} as champion_clicks,
        {{ ratio('canary.sum_y', 'canary.sum_d') }} as canary_clicks,
        {{ delta_method_variance(
            'champion.sum_y', 'champion.sum_d', 'champion.sum_yy', 'champion.sum_dd',
            'champion.sum_yd'
        ) }} as champion_variance,
        {{ delta_method_variance(
            'canary.sum_y', 'canary.sum_d', 'canary.sum_yy', 'canary.sum_dd', 'canary.sum_yd'
        ) }} as canary_variance,
        {{ delta_method_variance(
            '(champion.sum_y + canary.sum_y)', '(champion.sum_d + canary.sum_d)',
            '(champion.sum_yy + canary.sum_yy)', '(champion.sum_dd + canary.sum_dd)',
            '(champion.sum_yd + canary.sum_yd)'
        ) }} as both_variance
    from arms as champion
    inner join arms as canary on champion.deployment_id = canary.deployment_id
    where champion.variant = 'champion' and canary.variant = 'canary'

),

{#
    Variance of the ratio of two rates by the delta method, with half of what it would be if all
    users were alike, as in the canary's own rule: a small arm may hold users who hardly differ.
#}
relative as (

    select
        *,
        {{ ratio('canary_clicks', 'champion_clicks') }} - 1 as observed_delta,
        canary_variance / nullif(power(champion_clicks, 2), 0)
        + power({{ ratio('canary_clicks', 'champion_clicks') }}, 2) * champion_variance
        / nullif(power(champion_clicks, 2), 0) as own_variance,
        both_variance * power(n_users, 2)
        / nullif(cast(n_champion_users as double) * n_canary_users, 0)
        / nullif(power(champion_clicks, 2), 0) as null_variance
    from paired

),

observed as (

    select
        *,
        {{ confidence_sequence_halfwidth(
            'sqrt(greatest(own_variance, (own_variance + null_variance) / 2))', 'n_users', error,
            n_star
        ) }} as halfwidth
    from relative

),

final as (

    select
        cast(judged.deployment_id as varchar) as deployment_id,
        cast(judged.challenger_version as varchar) as challenger_version,
        cast(judged.champion_version as varchar) as champion_version,
        cast(predicted.evaluation_id as varchar) as evaluation_id,
        cast(predicted.verdict as varchar) as offline_verdict,
        cast(judged.canary_share as double) as canary_share,
        cast(judged.outcome as varchar) as outcome,
        cast(predicted.relative_delta as double) as predicted_delta,
        cast(predicted.relative_delta_ci_low as double) as predicted_ci_low,
        cast(predicted.relative_delta_ci_high as double) as predicted_ci_high,
        cast(predicted.support as double) as support,
        cast(predicted.changed_share as double) as changed_share,
        cast(observed.observed_delta as double) as observed_delta,
        cast(observed.observed_delta - observed.halfwidth as double) as observed_ci_low,
        cast(observed.observed_delta + observed.halfwidth as double) as observed_ci_high,
        cast(observed.champion_clicks as double) as champion_clicks_per_search,
        cast(observed.canary_clicks as double) as canary_clicks_per_search,
        cast(coalesce(observed.n_champion_users, 0) as bigint) as n_champion_users,
        cast(coalesce(observed.n_canary_users, 0) as bigint) as n_canary_users,
        cast(coalesce(observed.n_searches, 0) as bigint) as n_searches,
        cast(observed.observed_delta - predicted.relative_delta as double) as gap,
        cast(
            observed.observed_delta - observed.halfwidth <= predicted.relative_delta_ci_high
            and observed.observed_delta + observed.halfwidth >= predicted.relative_delta_ci_low
            as boolean
        ) as is_consistent,
        cast(judged.started_at as timestamp) as started_at,
        cast(judged.ended_at as timestamp) as ended_at
    from judged
    left join predicted on judged.deployment_id = predicted.deployment_id
    left join observed on judged.deployment_id = observed.deployment_id

)

select * from final
