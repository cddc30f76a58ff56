with cells as (
    select * from {{ ref('int_position_cells') }}
),

components as (
    {{ rank_components('cells', 10) | indent(4) }}
)

select
    context,
    rank,
    component
from components
