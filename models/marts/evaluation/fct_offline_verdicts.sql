{# Incremental so that a verdict is final; one that found no search is tried again. #}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='evaluation_id',
    on_schema_change='append_new_columns'
) }}

with

evaluations as (

    select requested.* from {{ source('flywheel_state', 'evaluations') }} as requested
    {% if is_incremental() %}
    where
        requested.evaluation_id not in (
            select answered.evaluation_id from {{ this }} as answered
            where answered.n_searches > 0
        )
    {% endif %}

),

estimates as (

    select * from {{ ref('int_evaluation_clicks__estimated') }}

),

orders as (

    select * from {{ ref('fct_offline_evaluations') }}
    where is_gate_metric

),

measured as (

    select
        evaluations.evaluation_id,
        evaluations.model_version,
        evaluations.champion_version,
        evaluations.window_start,
        evaluations.window_end,
        evaluations.requested_at,
        coalesce(estimates.n_searches, 0) as n_searches,
        coalesce(estimates.n_users, 0) as n_users,
        coalesce(estimates.n_clicks, 0) as n_clicks,
        {{ ratio('estimates.champion_clicks', 'estimates.n_searches') }}
            as champion_clicks_per_search,
        {{ ratio('estimates.challenger_clicks', 'estimates.n_searches') }}
            as challenger_clicks_per_search,
        estimates.relative_delta,
        estimates.relative_delta + estimates.unseen_low as delta_if_unseen_bad,
        estimates.relative_delta + estimates.unseen_high as delta_if_unseen_good,
        estimates.user_std_error,
        estimates.propensity_std_error,
        estimates.noise,
        estimates.support,
        estimates.logged_overlap,
        estimates.changed_share,
        orders.metric as seen_metric,
        orders.delta as seen_delta,
        orders.delta_ci_low as seen_delta_ci_low,
        orders.delta_ci_high as seen_delta_ci_high,
        orders.delta_ci_high >= 0 as is_seen_not_worse
    from evaluations
    left join estimates on evaluations.evaluation_id = estimates.evaluation_id
    left join orders on evaluations.evaluation_id = orders.evaluation_id

),

{#
    Better, if it is even where what was never shown is as bad as either order could mean; not
    better, if it is not even where that is as good. In between nobody knows but users.
#}
judged as (

    select
        *,
        delta_if_unseen_bad - noise as relative_delta_ci_low,
        delta_if_unseen_good + noise as relative_delta_ci_high,
        case
            when relative_delta is null then 'nothing_compared'
            when
                n_users < {{ var('min_evaluation_users') }}
                or n_clicks < {{ var('min_evaluation_clicks') }}
                then 'scarce'
            when delta_if_unseen_bad - noise > 0 then 'better'
            when delta_if_unseen_good - noise <= 0 then 'not_better'
            when {{ not var('canary_on_unsupported') }} then 'unsupported_and_stopped'
            when is_seen_not_worse then 'unsupported_not_worse'
            else 'unsupported_worse'
        end as rule
    from measured

),

worded as (

    select
        *,
        {{ format_decimal('100 * relative_delta', digits=1, signed=true) }}
        || ' % clicks per search ['
        || {{ format_decimal('100 * relative_delta_ci_low', digits=1, signed=true) }} || ', '
        || {{ format_decimal('100 * relative_delta_ci_high', digits=1, signed=true) }}
        || ']' as difference,
        {{ format_decimal('100 * (1 - support)', digits=0) }}
        || ' % of what its pages would show was never shown' as lack
    from judged

),

final as (

    select
        cast(evaluation_id as string) as evaluation_id,
        cast(model_version as string) as model_version,
        cast(champion_version as string) as champion_version,
        cast(
            case
                when rule in ('better', 'not_better') then rule
                when rule <> 'nothing_compared' then 'unsupported'
            end as string
        ) as verdict,
        rule in ('better', 'unsupported_not_worse') as is_deployable,
        cast(
            case rule
                when 'nothing_compared'
                    then 'The evaluation window has no search in which both could be compared.'
                when 'scarce'
                    then
                        'Too little to judge: ' || cast(n_users as string) || ' users and '
                        || cast(n_clicks as string) || ' clicks, where '
                        || '{{ var("min_evaluation_users") }} and '
                        || '{{ var("min_evaluation_clicks") }} are needed.'
                when 'better' then difference || ', whatever the documents never shown are worth.'
                when 'not_better' then difference || '; no gain beyond noise.'
                when 'unsupported_and_stopped' then difference || ': ' || lack || '.'
                when 'unsupported_not_worse'
                    then
                        difference || ': ' || lack || ', and what was shown it does not order '
                        || 'worse, so users decide.'
                when 'unsupported_worse'
                    then difference || ': ' || lack || ', and what was shown it orders worse.'
            end as string
        ) as reason,
        cast(champion_clicks_per_search as double) as champion_clicks_per_search,
        cast(challenger_clicks_per_search as double) as challenger_clicks_per_search,
        cast(relative_delta as double) as relative_delta,
        cast(relative_delta_ci_low as double) as relative_delta_ci_low,
        cast(relative_delta_ci_high as double) as relative_delta_ci_high,
        cast(delta_if_unseen_bad as double) as delta_if_unseen_bad,
        cast(delta_if_unseen_good as double) as delta_if_unseen_good,
        cast(user_std_error as double) as user_std_error,
        cast(propensity_std_error as double) as propensity_std_error,
        cast(support as double) as support,
        cast(logged_overlap as double) as logged_overlap,
        cast(changed_share as double) as changed_share,
        cast(seen_metric as string) as seen_metric,
        cast(seen_delta as double) as seen_delta,
        cast(seen_delta_ci_low as double) as seen_delta_ci_low,
        cast(seen_delta_ci_high as double) as seen_delta_ci_high,
        cast(n_searches as bigint) as n_searches,
        cast(n_users as bigint) as n_users,
        cast(n_clicks as bigint) as n_clicks,
        cast(window_start as timestamp) as window_start,
        cast(window_end as timestamp) as window_end,
        cast(requested_at as timestamp) as evaluated_at
    from worded

)

select * from final
