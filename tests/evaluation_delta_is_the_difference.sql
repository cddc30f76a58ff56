with evaluations as (
    select * from {{ ref('fct_offline_evaluations') }}
)

select
    challenger.evaluation_id,
    challenger.metric,
    challenger.delta,
    challenger.value - champion.value as difference
from evaluations as challenger
inner join evaluations as champion
    on
        challenger.evaluation_id = champion.evaluation_id
        and challenger.metric = champion.metric
where
    not challenger.is_champion
    and champion.is_champion
    and abs(challenger.delta - (challenger.value - champion.value)) > 1e-12
