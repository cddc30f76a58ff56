{#
    The two goal metrics share the error that canary_alpha allows, half each: with either of them
    able to promote, the chance of promoting a canary that changes nothing stays below the whole.
#}
{% set alpha = var('canary_alpha') / 2 %}
{% set n_star = var('canary_planned_users') %}

with metrics as (
    select * from {{ ref('fct_canary_metrics') }}
),

paired as (
    select
        champion.deployment_id,
        champion.look,
        champion.look_date,
        champion.metric,
        champion.n_users as n_champion_users,
        canary.n_users as n_canary_users,
        champion.value as champion_value,
        canary.value as canary_value,
        canary.value - champion.value as delta,
        sqrt(power(champion.std_error, 2) + power(canary.std_error, 2)) as std_error
    from metrics as champion
    inner join metrics as canary
        on
            champion.deployment_id = canary.deployment_id
            and champion.look = canary.look
            and champion.metric = canary.metric
    where champion.variant = 'champion' and canary.variant = 'canary'
),

{# No spread at all among the users is no evidence of a tight interval, but of too few users. #}
spread as (
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
        nullif(std_error, 0) as std_error,
        n_champion_users + n_canary_users as n_users
    from paired
),

widths as (
    select
        *,
        {{ confidence_sequence_halfwidth('std_error', 'n_users', alpha, n_star) }} as halfwidth,
        {{ e_value('delta', 'std_error', 'n_users', alpha, n_star) }} as e_value
    from spread
)

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
    e_value
from widths
