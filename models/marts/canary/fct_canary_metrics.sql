with

searches as (

    select * from {{ ref('int_canary_searches__served') }}

),

users as (

    select * from {{ ref('int_canary_users__exposed') }}

),

sums as (

    select * from {{ ref('int_canary_user_days__counted') }}

),

metrics as (

    select * from {{ ref('metrics') }}
    where stage = 'canary'

),

{# Both sums of a metric side by side; a day may have one of them only. #}
user_days as (

    select
        sums.deployment_id,
        sums.user_id,
        sums.activity_date,
        metrics.metric,
        sum(case when sums.sum_name = metrics.numerator then sums.value else 0 end) as numerator,
        sum(case when sums.sum_name = metrics.denominator then sums.value else 0 end)
            as denominator
    from sums
    inner join metrics
        on sums.sum_name in (metrics.numerator, metrics.denominator)
    group by sums.deployment_id, sums.user_id, sums.activity_date, metrics.metric

),

days as (

    select distinct
        deployment_id,
        search_date as look_date
    from searches

),

looks as (

    select
        deployment_id,
        look_date,
        row_number() over (partition by deployment_id order by look_date) as look
    from days

),

variants as (

    select named.variant from (values ('champion'), ('canary')) as named (variant)

),

{# An arm without traffic must stand there with 0 users, not be missing. #}
cells as (

    select
        looks.*,
        variants.variant,
        metrics.metric,
        metrics.kind
    from looks
    cross join variants
    cross join metrics

),

user_totals as (

    select
        looks.deployment_id,
        looks.look_date,
        users.assigned_variant as variant,
        user_days.metric,
        user_days.user_id,
        {{ exact_sum('user_days.numerator') }} as y,
        {{ exact_sum('user_days.denominator') }} as d
    from looks
    inner join user_days
        on
            looks.deployment_id = user_days.deployment_id
            and looks.look_date >= user_days.activity_date
    inner join users
        on
            user_days.deployment_id = users.deployment_id
            and user_days.user_id = users.user_id
    group by
        looks.deployment_id,
        looks.look_date,
        users.assigned_variant,
        user_days.metric,
        user_days.user_id

),

arms as (

    select
        deployment_id,
        look_date,
        variant,
        metric,
        count(*) as n_users,
        {{ exact_sum('y') }} as sum_y,
        {{ exact_sum('d') }} as sum_d,
        {{ exact_sum('y * y') }} as sum_yy,
        {{ exact_sum('d * d') }} as sum_dd,
        {{ exact_sum('y * d') }} as sum_yd
    from user_totals
    group by deployment_id, look_date, variant, metric

),

final as (

    select
        cast(cells.deployment_id as string) as deployment_id,
        cast(cells.look as integer) as look,
        cast(cells.look_date as date) as look_date,
        cast(cells.variant as string) as variant,
        cast(cells.metric as string) as metric,
        cast(coalesce(arms.n_users, 0) as bigint) as n_users,
        cast(coalesce(arms.sum_y, 0) as double) as sum_y,
        cast(coalesce(arms.sum_d, 0) as double) as sum_d,
        cast(coalesce(arms.sum_yy, 0) as double) as sum_yy,
        cast(coalesce(arms.sum_dd, 0) as double) as sum_dd,
        cast(coalesce(arms.sum_yd, 0) as double) as sum_yd,
        cast({{ ratio('arms.sum_y', 'arms.sum_d') }} as double) as value,
        cast(
            sqrt({{ delta_method_variance(
                'arms.sum_y', 'arms.sum_d', 'arms.sum_yy', 'arms.sum_dd', 'arms.sum_yd'
            ) }}) as double
        ) as std_error,
        cast(cells.kind as string) as kind
    from cells
    left join arms
        on
            cells.deployment_id = arms.deployment_id
            and cells.look_date = arms.look_date
            and cells.variant = arms.variant
            and cells.metric = arms.metric

)

select * from final
