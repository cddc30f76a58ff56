{#
    The goals share the error that canary_alpha allows equally: with any of them able to promote, the
    chance of promoting a canary that changes nothing stays below the whole. A guardrail cannot
    promote, so it takes no part, and has the alpha of one goal. Where the share may be raised, the
    comparison starts afresh then, and so each share has half.
#}
{% set alpha = var('canary_alpha') / (2 if var('canary_ramp_share') > 0 else 1) %}
{% set n_star = var('canary_planned_users') %}

with

sums as (

    select * from {{ ref('fct_canary_metrics') }}

),

metrics as (

    select
        *,
        cast({{ alpha }} as double)
        / greatest(sum(case when role = 'goal' then 1 else 0 end) over (), 1) as alpha
    from {{ ref('metrics') }}
    where stage = 'canary'

),

paired as (

    select
        champion.deployment_id,
        champion.look,
        champion.look_date,
        champion.metric,
        metrics.kind,
        metrics.alpha,
        metrics.success_words,
        metrics.failure_words,
        champion.n_users as n_champion_users,
        canary.n_users as n_canary_users,
        champion.n_users + canary.n_users as n_users,
        champion.value as champion_value,
        canary.value as canary_value,
        canary.value - champion.value as delta,
        champion.sum_y as champion_sum_y,
        champion.sum_d as champion_sum_d,
        champion.sum_yy as champion_sum_yy,
        champion.sum_dd as champion_sum_dd,
        champion.sum_yd as champion_sum_yd,
        canary.sum_y as canary_sum_y,
        canary.sum_d as canary_sum_d,
        canary.sum_yy as canary_sum_yy,
        canary.sum_dd as canary_sum_dd,
        canary.sum_yd as canary_sum_yd,
        champion.sum_y + canary.sum_y as both_sum_y,
        champion.sum_d + canary.sum_d as both_sum_d,
        champion.sum_yy + canary.sum_yy as both_sum_yy,
        champion.sum_dd + canary.sum_dd as both_sum_dd,
        champion.sum_yd + canary.sum_yd as both_sum_yd
    from sums as champion
    inner join sums as canary
        on
            champion.deployment_id = canary.deployment_id
            and champion.look = canary.look
            and champion.metric = canary.metric
    inner join metrics
        on champion.metric = metrics.metric
    where champion.variant = 'champion' and canary.variant = 'canary'

),

{#
    Of the difference, twice: own_variance believes each arm's own users; null_variance takes all
    users for alike, as they are where the canary changes nothing, and shares out their spread by
    the arms' sizes. Users of both arms are V = sum(e^2) / sum(d)^2 together, and n times that each.
#}
variances as (

    select
        *,
        {{ delta_method_variance(
            'champion_sum_y', 'champion_sum_d', 'champion_sum_yy', 'champion_sum_dd',
            'champion_sum_yd'
        ) }} + {{ delta_method_variance(
            'canary_sum_y', 'canary_sum_d', 'canary_sum_yy', 'canary_sum_dd', 'canary_sum_yd'
        ) }} as own_variance,
        {{ delta_method_variance(
            'both_sum_y', 'both_sum_d', 'both_sum_yy', 'both_sum_dd', 'both_sum_yd'
        ) }} * power(cast(n_users as double), 2)
        / nullif(cast(n_champion_users as double) * n_canary_users, 0) as null_variance
    from paired

),

{#
    A small arm may by luck hold users who hardly differ, and is then far too sure; at low rates it
    is surest just when it saw too few clicks. Half of the null's variance keeps it from that
    (docs/canary.md has the errors and the power of this and of other rules). No spread at all
    among all users is no evidence of a tight interval, but of too few users.
#}
spread as (

    select
        *,
        nullif(
            sqrt(greatest(own_variance, (own_variance + null_variance) / 2)), 0
        ) as std_error
    from variances

),

{#
    How many clicks and non-clicks (successes and failures) there are in the arm that has fewest,
    and how many there would be at the rate of both arms together: a canary that loses every click
    has none, and is to be found out by the clicks it should have had. Only of what happens or does
    not: seconds and prices have no failures to count.
#}
outcomes as (

    select
        *,
        case
            when kind = 'binary'
                then
                    least(
                        champion_sum_y, champion_sum_d - champion_sum_y,
                        canary_sum_y, canary_sum_d - canary_sum_y
                    )
        end as n_least_outcomes,
        case
            when kind = 'binary'
                then
                    least(both_sum_y, both_sum_d - both_sum_y)
                    * {{ ratio('least(champion_sum_d, canary_sum_d)', 'both_sum_d') }}
        end as n_least_expected
    from spread

),

scarce as (

    select
        *,
        n_least_outcomes in (canary_sum_y, canary_sum_d - canary_sum_y) as is_least_canary,
        case
            when n_least_outcomes = canary_sum_y then true
            when n_least_outcomes = canary_sum_d - canary_sum_y then false
            else n_least_outcomes = champion_sum_y
        end as is_least_clicked
    from outcomes

),

widths as (

    select
        *,
        {{ confidence_sequence_halfwidth('std_error', 'n_users', 'alpha', n_star) }} as halfwidth,
        {{ e_value('delta', 'std_error', 'n_users', 'alpha', n_star) }} as e_value
    from scarce

),

final as (

    select
        deployment_id,
        look,
        look_date,
        metric,
        n_champion_users,
        n_canary_users,
        champion_value,
        canary_value,
        delta,
        std_error,
        delta - halfwidth as ci_low,
        delta + halfwidth as ci_high,
        e_value,
        alpha,
        cast(coalesce(n_least_outcomes, 0) as bigint) as n_least_outcomes,
        coalesce(n_least_expected, 0) as n_least_expected,
        case when is_least_clicked then success_words else failure_words end
        || case when is_least_canary then ' of the canary' else ' of the champion' end
            as scarcest
    from widths

)

select * from final
