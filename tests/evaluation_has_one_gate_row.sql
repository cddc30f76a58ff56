{# The gate reads one row per evaluation; none would mean that nothing can ever pass. #}
with requested as (
    select * from {{ source('flywheel_state', 'evaluations') }}
),

gate_rows as (
    select * from {{ ref('fct_offline_evaluations') }}
    where is_gate_metric
)

select
    requested.evaluation_id,
    count(gate_rows.evaluation_id) as n_gate_rows
from requested
left join gate_rows
    on requested.evaluation_id = gate_rows.evaluation_id
group by requested.evaluation_id
having count(gate_rows.evaluation_id) <> 1
