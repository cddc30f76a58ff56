{#
    Nothing is lost between the log and the sums: at the last look, the searches in both arms are
    all the searches the deployment served. Asked of the metrics that are a ratio over searches.
#}
{{ config(group='canary') }}

with metrics as (
    select * from {{ ref('fct_canary_metrics') }}
    where
        metric in (
            select seed.metric from {{ ref('metrics') }} as seed
            where seed.stage = 'canary' and seed.denominator = 'searches'
        )
),

searches as (
    select * from {{ ref('int_canary_searches__served') }}
),

last_looks as (
    select
        deployment_id,
        max(look) as look
    from metrics
    group by deployment_id
),

counted as (
    select
        metrics.deployment_id,
        metrics.metric,
        sum(metrics.sum_d) as n_counted
    from metrics
    inner join last_looks
        on
            metrics.deployment_id = last_looks.deployment_id
            and metrics.look = last_looks.look
    group by metrics.deployment_id, metrics.metric
),

served as (
    select
        deployment_id,
        count(*) as n_served
    from searches
    group by deployment_id
)

select
    served.deployment_id,
    counted.metric,
    served.n_served,
    counted.n_counted
from served
left join counted
    on served.deployment_id = counted.deployment_id
where counted.n_counted is distinct from served.n_served
