{% set min_users = var('canary_min_users') %}
{% set min_outcomes = var('canary_min_outcomes') %}
{% set min_days = var('canary_min_days') %}
{% set max_days = var('canary_max_days') %}
{# One-sided 5 % of a normal: below it a difference is no longer taken for chance. #}
{% set z = 1.645 %}

with checks as (
    select * from {{ ref('int_canary_looks__verified') }}
),

comparisons as (
    select * from {{ ref('int_canary_looks__compared') }}
),

looks as (
    select
        checks.*,
        ctr.champion_value as ctr_champion,
        ctr.canary_value as ctr_canary,
        ctr.delta as ctr_delta,
        ctr.std_error as ctr_std_error,
        ctr.ci_low as ctr_ci_low,
        ctr.ci_high as ctr_ci_high,
        ctr.e_value as ctr_e_value,
        ctr.n_least_outcomes as ctr_n_least_outcomes,
        ctr.n_least_expected as ctr_n_least_expected,
        ctr.scarcest as ctr_scarcest,
        success.champion_value as success_champion,
        success.canary_value as success_canary,
        success.delta as success_delta,
        success.std_error as success_std_error,
        success.ci_low as success_ci_low,
        success.ci_high as success_ci_high,
        success.e_value as success_e_value,
        least(success.n_champion_users, success.n_canary_users) as success_n_least_users,
        success.n_least_outcomes as success_n_least_outcomes,
        success.n_least_expected as success_n_least_expected,
        success.scarcest as success_scarcest
    from checks
    inner join comparisons as ctr
        on
            checks.deployment_id = ctr.deployment_id
            and checks.look = ctr.look
            and ctr.metric = 'ctr'
    inner join comparisons as success
        on
            checks.deployment_id = success.deployment_id
            and checks.look = success.look
            and success.metric = 'session_success'
),

{#
    Each question is answered once, never null, so that the chain below reads like the rule. A metric
    may promote on the clicks and non-clicks that each arm has; it may roll back on those that each
    would have if nothing were wrong, or a canary that loses all its clicks would never be judged.
#}
answers as (
    select
        *,
        coalesce(srm_p < {{ var('srm_alpha') }}, false) as is_split_wrong,
        least(n_champion_users, n_canary_users) < {{ min_users }} as is_small,
        ctr_n_least_outcomes < {{ min_outcomes }} as is_ctr_scarce,
        success_n_least_users < {{ min_users }}
        or success_n_least_outcomes < {{ min_outcomes }} as is_success_scarce,
        coalesce(
            ctr_ci_high < 0 and ctr_n_least_expected >= {{ min_outcomes }}, false
        ) as is_ctr_worse,
        coalesce(
            success_ci_high < 0
            and success_n_least_users >= {{ min_users }}
            and success_n_least_expected >= {{ min_outcomes }}, false
        ) as is_success_worse,
        coalesce(
            ctr_ci_low > 0 and ctr_n_least_outcomes >= {{ min_outcomes }}, false
        ) as is_ctr_better,
        coalesce(
            success_ci_low > 0
            and success_n_least_users >= {{ min_users }}
            and success_n_least_outcomes >= {{ min_outcomes }}, false
        ) as is_success_better,
        coalesce(ctr_delta < -{{ z }} * ctr_std_error, false)
        or coalesce(success_delta < -{{ z }} * success_std_error, false) as is_hurting,
        ctr_std_error is not null or success_std_error is not null as is_compared,
        coalesce(canary_share < {{ var('canary_ramp_share') }}, false) as is_below_ramp
    from looks
),

{#
    Harm comes before gain: a canary that wins clicks and loses sessions is rolled back. Only
    promotion waits for canary_min_days; harm is not made to wait.
#}
ruled as (
    select
        *,
        case
            when is_split_wrong then 'wrong_split'
            when is_small and n_days >= {{ max_days }} then 'small_at_end'
            when is_small then 'small'
            when is_ctr_worse or is_success_worse then 'worse'
            when (is_ctr_better or is_success_better) and n_days >= {{ min_days }} then 'better'
            when is_ctr_scarce and is_success_scarce and n_days >= {{ max_days }}
                then 'scarce_at_end'
            when is_ctr_scarce and is_success_scarce then 'scarce'
            when n_days >= {{ max_days }} then 'open_at_end'
            when is_ctr_better or is_success_better then 'better_early'
            else 'open'
        end as rule
    from answers
),

decided as (
    select
        *,
        case
            when rule in ('wrong_split', 'small_at_end', 'scarce_at_end', 'open_at_end')
                then 'inconclusive'
            when rule = 'worse' then 'roll_back'
            when rule = 'better' then 'promote'
            else 'continue'
        end as decision,
        {#
            More users may see what is not shown to hurt: enough of them were compared, over
            canary_ramp_after_days that are surely over since another has begun, and neither
            metric is lower than chance makes it in one of twenty canaries that change nothing.
            No guarantee over looks is needed: who stays at the small share loses power only.
        #}
        rule in ('open', 'better_early')
        and is_below_ramp
        and n_days > {{ var('canary_ramp_after_days') }}
        and is_compared
        and not is_hurting as is_safe_to_ramp,
        {# CTR speaks, unless only the other metric has something to say. #}
        case
            when rule = 'worse' and not is_ctr_worse then 'session_success'
            when rule in ('better', 'better_early') and not is_ctr_better then 'session_success'
            when rule in ('open', 'open_at_end') and is_ctr_scarce then 'session_success'
            else 'ctr'
        end as metric
    from ruled
),

deciding as (
    select
        *,
        case metric when 'ctr' then 'CTR' else 'Session success' end as metric_label,
        case metric when 'ctr' then ctr_champion else success_champion end as champion_value,
        case metric when 'ctr' then ctr_canary else success_canary end as canary_value,
        case metric when 'ctr' then ctr_delta else success_delta end as delta,
        case metric when 'ctr' then ctr_ci_low else success_ci_low end as ci_low,
        case metric when 'ctr' then ctr_ci_high else success_ci_high end as ci_high,
        case metric when 'ctr' then ctr_e_value else success_e_value end as e_value,
        cast(n_days as varchar) || case when n_days = 1 then ' day' else ' days' end as days_label,
        row_number() over (
            partition by deployment_id, case when decision <> 'continue' then 1 else 0 end
            order by look
        ) as look_of_kind
    from decided
),

worded as (
    select
        *,
        coalesce(
            metric_label || ' ' || {{ format_decimal('canary_value') }}
            || ' against ' || {{ format_decimal('champion_value') }}
            || ': difference ' || {{ format_decimal('delta', signed=true) }}
            || ', interval [' || {{ format_decimal('ci_low', signed=true) }}
            || ', ' || {{ format_decimal('ci_high', signed=true) }} || ']',
            'No interval yet: ' || metric_label || ' does not vary between users'
        ) as comparison,
        'Too little to judge CTR: {{ min_outcomes }} ' || ctr_scarcest || ' are needed, '
        || cast(ctr_n_least_outcomes as varchar) || ' are there' as scarcity,
        cast(n_champion_users as varchar) || ' champion and '
        || cast(n_canary_users as varchar) || ' canary users' as users_label
    from deciding
),

reasoned as (
    select
        *,
        case rule
            when 'wrong_split'
                then
                    'Sample ratio mismatch: ' || users_label || ' where a canary share of '
                    || {{ format_decimal('canary_share', digits=4) }}
                    || ' was planned (p = ' || {{ format_decimal('srm_p', digits=6) }}
                    || '); find out why before trusting any difference.'
            when 'small_at_end'
                then
                    users_label || ' after ' || days_label
                    || '; {{ min_users }} are needed in each arm.'
            when 'small'
                then users_label || ' so far; {{ min_users }} are needed in each arm.'
            when 'scarce_at_end' then scarcity || ' after ' || days_label || '.'
            when 'scarce' then scarcity || ' so far.'
            when 'worse' then comparison || ' excludes zero after ' || days_label || '.'
            when 'better' then comparison || ' excludes zero after ' || days_label || '.'
            when 'better_early'
                then
                    comparison || ' excludes zero after ' || days_label
                    || ', but promotion waits for {{ min_days }} days.'
            else
                comparison || case when ci_low is null then '' else ' includes zero' end
                || ' after ' || days_label || case
                    when rule = 'open' then ' of at most {{ max_days }}.'
                    else ', the most a canary may take.'
                end
        end || case
            when n_misassigned_users > 0
                then
                    ' ' || cast(n_misassigned_users as varchar)
                    || ' users were not served the variant of their bucket.'
            else ''
        end as reason
    from worded
)

select
    cast(deployment_id as varchar) as deployment_id,
    cast(look as integer) as look,
    cast(look_date as date) as look_date,
    cast(n_days as integer) as n_days,
    cast(decision as varchar) as decision,
    decision <> 'continue' and look_of_kind = 1 as is_final,
    cast(reason as varchar) as reason,
    cast(metric as varchar) as metric,
    cast(delta as double) as delta,
    cast(ci_low as double) as ci_low,
    cast(ci_high as double) as ci_high,
    cast(e_value as double) as e_value,
    cast(srm_p as double) as srm_p,
    cast(n_champion_users as bigint) as n_champion_users,
    cast(n_canary_users as bigint) as n_canary_users,
    cast(n_misassigned_users as bigint) as n_misassigned_users,
    cast(n_mixed_users as bigint) as n_mixed_users,
    cast(ctr_champion as double) as ctr_champion,
    cast(ctr_canary as double) as ctr_canary,
    cast(ctr_delta as double) as ctr_delta,
    cast(ctr_ci_low as double) as ctr_ci_low,
    cast(ctr_ci_high as double) as ctr_ci_high,
    cast(ctr_e_value as double) as ctr_e_value,
    cast(success_champion as double) as success_champion,
    cast(success_canary as double) as success_canary,
    cast(success_delta as double) as success_delta,
    cast(success_ci_low as double) as success_ci_low,
    cast(success_ci_high as double) as success_ci_high,
    cast(success_e_value as double) as success_e_value,
    cast(canary_share as double) as canary_share,
    cast(is_safe_to_ramp as boolean) as is_safe_to_ramp
from reasoned
