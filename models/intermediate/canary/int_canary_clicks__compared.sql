{% set n_star = var('canary_planned_users') %}
{% set error = 1 - var('confidence_level') %}

with

users as (

    select * from {{ ref('int_canary_users__clicked') }}

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
        {{ ratio('canary_clicks', 'champion_clicks') }} - 1 as relative_delta,
        canary_variance / nullif(power(champion_clicks, 2), 0)
        + power({{ ratio('canary_clicks', 'champion_clicks') }}, 2) * champion_variance
        / nullif(power(champion_clicks, 2), 0) as own_variance,
        both_variance * power(n_users, 2)
        / nullif(cast(n_champion_users as double) * n_canary_users, 0)
        / nullif(power(champion_clicks, 2), 0) as null_variance
    from paired

),

widths as (

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
        deployment_id,
        n_champion_users,
        n_canary_users,
        n_searches,
        champion_clicks,
        canary_clicks,
        relative_delta,
        relative_delta - halfwidth as ci_low,
        relative_delta + halfwidth as ci_high
    from widths

)

select * from final
