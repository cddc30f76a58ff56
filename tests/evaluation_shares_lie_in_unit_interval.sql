with evaluations as (
    select * from {{ ref('fct_offline_evaluations') }}
),

metrics as (
    select * from {{ ref('metrics') }}
    where kind in ('binary', 'share')
)

select
    evaluations.evaluation_id,
    evaluations.metric,
    evaluations.value
from evaluations
inner join metrics
    on evaluations.metric = metrics.metric
where not evaluations.value between 0 and 1 + 1e-9
