{% set min_users = var('canary_min_users') %}
{% set min_outcomes = var('canary_min_outcomes') %}
{% set min_days = var('canary_min_days') %}
{% set max_days = var('canary_max_days') %}
{# One-sided 5 % of a normal: below it a difference is no longer taken for chance. #}
{% set z = 1.645 %}

with

checks as (

    select * from {{ ref('int_canary_looks__verified') }}

),

comparisons as (

    select * from {{ ref('int_canary_looks__compared') }}

),

metrics as (

    select * from {{ ref('metrics') }}
    where stage = 'canary'

),

{# Of the difference as gain: where lower is better, less is more. #}
gains as (

    select
        comparisons.*,
        metrics.label,
        metrics.priority,
        metrics.minimum_effect,
        metrics.role = 'goal' as is_goal,
        metrics.kind = 'binary' as is_binary,
        least(comparisons.n_champion_users, comparisons.n_canary_users) as n_least_users,
        case when metrics.direction = 'lower' then -comparisons.delta else comparisons.delta end
            as gain,
        case
            when metrics.direction = 'lower' then -comparisons.ci_high else comparisons.ci_low
        end as gain_low,
        case
            when metrics.direction = 'lower' then -comparisons.ci_low else comparisons.ci_high
        end as gain_high
    from comparisons
    inner join metrics
        on comparisons.metric = metrics.metric

),

{#
    Each question is answered once, never null, so that the chain below reads like the rule. A metric
    may promote on the clicks and non-clicks that each arm has; it may roll back on those that each
    would have if nothing were wrong, or a canary that loses all its clicks would never be judged.
    Only a goal promotes.
#}
answers as (

    select
        *,
        n_least_users < {{ min_users }}
        or (is_binary and n_least_outcomes < {{ min_outcomes }}) as is_scarce,
        coalesce(
            gain_high < -minimum_effect
            and n_least_users >= {{ min_users }}
            and (not is_binary or n_least_expected >= {{ min_outcomes }}), false
        ) as is_worse,
        coalesce(
            is_goal
            and gain_low > minimum_effect
            and n_least_users >= {{ min_users }}
            and (not is_binary or n_least_outcomes >= {{ min_outcomes }}), false
        ) as is_better,
        coalesce(gain < -{{ z }} * std_error, false) as is_hurting,
        std_error is not null as is_compared
    from gains

),

look_answers as (

    select
        deployment_id,
        look,
        max(case when is_worse then 1 else 0 end) = 1 as is_worse,
        max(case when is_better then 1 else 0 end) = 1 as is_better,
        max(case when is_hurting then 1 else 0 end) = 1 as is_hurting,
        max(case when is_compared then 1 else 0 end) = 1 as is_compared,
        min(case when is_scarce or not is_goal then 1 else 0 end) = 1 as is_scarce
    from answers
    group by deployment_id, look

),

looks as (

    select
        checks.*,
        look_answers.is_worse,
        look_answers.is_better,
        look_answers.is_hurting,
        look_answers.is_compared,
        look_answers.is_scarce,
        coalesce(checks.srm_p < {{ var('srm_alpha') }}, false) as is_split_wrong,
        least(checks.n_champion_users, checks.n_canary_users) < {{ min_users }} as is_small,
        coalesce(checks.canary_share < {{ var('canary_ramp_share') }}, false) as is_below_ramp
    from checks
    inner join look_answers
        on
            checks.deployment_id = look_answers.deployment_id
            and checks.look = look_answers.look

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
            when is_worse then 'worse'
            when is_better and n_days >= {{ min_days }} then 'better'
            when is_scarce and n_days >= {{ max_days }} then 'scarce_at_end'
            when is_scarce then 'scarce'
            when n_days >= {{ max_days }} then 'open_at_end'
            when is_better then 'better_early'
            else 'open'
        end as rule
    from looks

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
            canary_ramp_after_days that are surely over since another has begun, and no metric is
            worse than chance makes it in one of twenty canaries that change nothing.
            No guarantee over looks is needed: who stays at the small share loses power only.
        #}
        rule in ('open', 'better_early')
        and is_below_ramp
        and n_days > {{ var('canary_ramp_after_days') }}
        and is_compared
        and not is_hurting as is_safe_to_ramp
    from ruled

),

{#
    The first metric that the rule rests on speaks; where none is asked for, the first goal. Metrics
    are in the seed's order.
#}
ranked as (

    select
        answers.*,
        row_number() over (
            partition by answers.deployment_id, answers.look
            order by
                case
                    when decided.rule = 'worse' and answers.is_worse then 0
                    when decided.rule in ('better', 'better_early') and answers.is_better then 0
                    when
                        decided.rule in ('open', 'open_at_end')
                        and answers.is_goal
                        and not answers.is_scarce
                        then 0
                    when answers.is_goal then 1
                    else 2
                end,
                answers.priority
        ) as place
    from answers
    inner join decided
        on
            answers.deployment_id = decided.deployment_id
            and answers.look = decided.look

),

spoken as (

    select * from ranked
    where place = 1

),

{# What this table had before metrics were rows; fct_canary_comparisons has all of them. #}
named as (

    select
        {% for metric, prefix in [('ctr', 'ctr'), ('session_success', 'success')] %}
        {% for column, name in [
            ('champion_value', 'champion'), ('canary_value', 'canary'), ('delta', 'delta'),
            ('ci_low', 'ci_low'), ('ci_high', 'ci_high'), ('e_value', 'e_value')
        ] %}
        max(case when metric = '{{ metric }}' then {{ column }} end) as {{ prefix }}_{{ name }},
        {% endfor %}
        {% endfor %}
        deployment_id,
        look
    from answers
    group by deployment_id, look

),

deciding as (

    select
        decided.*,
        spoken.metric,
        spoken.label,
        spoken.champion_value,
        spoken.canary_value,
        spoken.delta,
        spoken.ci_low,
        spoken.ci_high,
        spoken.e_value,
        spoken.minimum_effect,
        spoken.n_least_users,
        spoken.n_least_outcomes,
        spoken.scarcest,
        spoken.is_binary and spoken.n_least_outcomes < {{ min_outcomes }} as is_scarce_of_outcomes,
        cast(decided.n_days as string)
        || case when decided.n_days = 1 then ' day' else ' days' end as days_label,
        row_number() over (
            partition by
                decided.deployment_id, case when decided.decision <> 'continue' then 1 else 0 end
            order by decided.look
        ) as look_of_kind
    from decided
    inner join spoken
        on
            decided.deployment_id = spoken.deployment_id
            and decided.look = spoken.look

),

worded as (

    select
        *,
        coalesce(
            label || ' ' || {{ format_decimal('canary_value') }}
            || ' against ' || {{ format_decimal('champion_value') }}
            || ': difference ' || {{ format_decimal('delta', signed=true) }}
            || ', interval [' || {{ format_decimal('ci_low', signed=true) }}
            || ', ' || {{ format_decimal('ci_high', signed=true) }} || ']',
            'No interval yet: ' || label || ' does not vary between users'
        ) as comparison,
        'Too little to judge ' || label || ': '
        || case
            when is_scarce_of_outcomes
                then
                    '{{ min_outcomes }} ' || scarcest || ' are needed, '
                    || cast(n_least_outcomes as string) || ' are there'
            else
                '{{ min_users }} users are needed in each arm, '
                || cast(n_least_users as string) || ' are there'
        end as scarcity,
        case
            when minimum_effect > 0
                then 'differences of ' || {{ format_decimal('minimum_effect') }} || ' and less'
            else 'zero'
        end as bound,
        cast(n_champion_users as string) || ' champion and '
        || cast(n_canary_users as string) || ' canary users' as users_label
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
            when 'worse' then comparison || ' excludes ' || bound || ' after ' || days_label || '.'
            when 'better' then comparison || ' excludes ' || bound || ' after ' || days_label || '.'
            when 'better_early'
                then
                    comparison || ' excludes ' || bound || ' after ' || days_label
                    || ', but promotion waits for {{ min_days }} days.'
            else
                comparison || case when ci_low is null then '' else ' includes ' || bound end
                || ' after ' || days_label || case
                    when rule = 'open' then ' of at most {{ max_days }}.'
                    else ', the most a canary may take.'
                end
        end || case
            when n_misassigned_users > 0
                then
                    ' ' || cast(n_misassigned_users as string)
                    || ' users were not served the variant of their bucket.'
            else ''
        end as reason
    from worded

),

final as (

    select
        cast(reasoned.deployment_id as string) as deployment_id,
        cast(reasoned.look as integer) as look,
        cast(reasoned.look_date as date) as look_date,
        cast(reasoned.n_days as integer) as n_days,
        cast(reasoned.decision as string) as decision,
        reasoned.decision <> 'continue' and reasoned.look_of_kind = 1 as is_final,
        cast(reasoned.reason as string) as reason,
        cast(reasoned.metric as string) as metric,
        cast(reasoned.delta as double) as delta,
        cast(reasoned.ci_low as double) as ci_low,
        cast(reasoned.ci_high as double) as ci_high,
        cast(reasoned.e_value as double) as e_value,
        cast(reasoned.srm_p as double) as srm_p,
        cast(reasoned.n_champion_users as bigint) as n_champion_users,
        cast(reasoned.n_canary_users as bigint) as n_canary_users,
        cast(reasoned.n_misassigned_users as bigint) as n_misassigned_users,
        cast(reasoned.n_mixed_users as bigint) as n_mixed_users,
        cast(named.ctr_champion as double) as ctr_champion,
        cast(named.ctr_canary as double) as ctr_canary,
        cast(named.ctr_delta as double) as ctr_delta,
        cast(named.ctr_ci_low as double) as ctr_ci_low,
        cast(named.ctr_ci_high as double) as ctr_ci_high,
        cast(named.ctr_e_value as double) as ctr_e_value,
        cast(named.success_champion as double) as success_champion,
        cast(named.success_canary as double) as success_canary,
        cast(named.success_delta as double) as success_delta,
        cast(named.success_ci_low as double) as success_ci_low,
        cast(named.success_ci_high as double) as success_ci_high,
        cast(named.success_e_value as double) as success_e_value,
        cast(reasoned.canary_share as double) as canary_share,
        cast(reasoned.is_safe_to_ramp as boolean) as is_safe_to_ramp
    from reasoned
    left join named
        on
            reasoned.deployment_id = named.deployment_id
            and reasoned.look = named.look

)

select * from final
