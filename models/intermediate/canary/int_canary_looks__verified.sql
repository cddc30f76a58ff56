{#
    Whether the traffic of a look can be trusted at all: are users split as planned, and did each
    see the variant of its bucket?
#}
with

deployments as (

    select * from {{ source('flywheel_state', 'deployments') }}

),

metrics as (

    select * from {{ ref('fct_canary_metrics') }}

),

users as (

    select * from {{ ref('int_canary_users__exposed') }}

),

{# Of the metrics one that is a ratio over searches counts everybody; others may miss some. #}
arms as (

    select
        deployment_id,
        look,
        look_date,
        max(case when variant = 'champion' then n_users else 0 end) as n_champion_users,
        max(case when variant = 'canary' then n_users else 0 end) as n_canary_users
    from metrics
    group by deployment_id, look, look_date

),

{# The share that the buckets really give; none or all of them leave no split to verify. #}
planned as (

    select
        arms.*,
        nullif(
            nullif(round(deployments.canary_share * 10000) / cast(10000 as double), 0), 1
        ) as canary_share,
        cast(arms.look_date as date) - cast(deployments.started_at as date) + 1 as n_days
    from arms
    inner join deployments
        on arms.deployment_id = deployments.deployment_id

),

tested as (

    select
        *,
        {{ srm_log_bayes_factor('n_champion_users', 'n_canary_users', 'canary_share') }}
            as log_bayes_factor
    from planned

),

{# p of the look that spoke loudest so far: this is what makes looking every day harmless. #}
sequential as (

    select
        *,
        min(case when log_bayes_factor > 0 then exp(-log_bayes_factor) else 1 end) over (
            partition by deployment_id
            order by look
            rows between unbounded preceding and current row
        ) as srm_p
    from tested

),

flagged as (

    select
        arms.deployment_id,
        arms.look,
        sum(case when users.misassigned_date <= arms.look_date then 1 else 0 end)
            as n_misassigned_users,
        sum(case when users.mixed_date <= arms.look_date then 1 else 0 end) as n_mixed_users
    from arms
    inner join users
        on
            arms.deployment_id = users.deployment_id
            and arms.look_date >= cast(users.first_served_at as date)
    group by arms.deployment_id, arms.look

),

final as (

    select
        sequential.deployment_id,
        sequential.look,
        sequential.look_date,
        cast(sequential.n_days as integer) as n_days,
        sequential.canary_share,
        cast(sequential.n_champion_users as bigint) as n_champion_users,
        cast(sequential.n_canary_users as bigint) as n_canary_users,
        cast(flagged.n_misassigned_users as bigint) as n_misassigned_users,
        cast(flagged.n_mixed_users as bigint) as n_mixed_users,
        sequential.log_bayes_factor,
        sequential.srm_p
    from sequential
    inner join flagged
        on
            sequential.deployment_id = flagged.deployment_id
            and sequential.look = flagged.look

)

select * from final
