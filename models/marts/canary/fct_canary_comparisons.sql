with

comparisons as (

    select * from {{ ref('int_canary_looks__compared') }}

),

metrics as (

    select * from {{ ref('metrics') }}
    where stage = 'canary'

),

final as (

    select
        cast(comparisons.deployment_id as string) as deployment_id,
        cast(comparisons.look as integer) as look,
        cast(comparisons.look_date as date) as look_date,
        cast(comparisons.metric as string) as metric,
        cast(metrics.priority as integer) as priority,
        cast(metrics.label as string) as label,
        cast(metrics.kind as string) as kind,
        cast(metrics.direction as string) as direction,
        cast(metrics.role as string) as role,
        cast(comparisons.n_champion_users as bigint) as n_champion_users,
        cast(comparisons.n_canary_users as bigint) as n_canary_users,
        cast(comparisons.champion_value as double) as champion_value,
        cast(comparisons.canary_value as double) as canary_value,
        cast(comparisons.delta as double) as delta,
        cast(comparisons.std_error as double) as std_error,
        cast(comparisons.ci_low as double) as ci_low,
        cast(comparisons.ci_high as double) as ci_high,
        cast(comparisons.e_value as double) as e_value,
        cast(comparisons.alpha as double) as alpha
    from comparisons
    inner join metrics on comparisons.metric = metrics.metric

)

select * from final
