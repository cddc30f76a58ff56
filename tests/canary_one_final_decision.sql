{# A deployment has one decision, at the first look that does not say continue, or none yet. #}
with decisions as (
    select * from {{ ref('fct_canary_decisions') }}
)

select
    deployment_id,
    min(case when decision <> 'continue' then look end) as first_decisive_look,
    max(case when is_final then look end) as final_look,
    count(case when is_final then 1 end) as n_final
from decisions
group by deployment_id
having
    count(case when is_final then 1 end) > 1
    or min(case when decision <> 'continue' then look end)
    is distinct from max(case when is_final then look end)
