-- LightGBM reads group sizes and rows apart: contiguous groups, one positive, one weight, one split
with per_group as (
    select
        group_id,
        count(*) as n_rows,
        sum(is_positive) as n_positives,
        count(distinct weight) as n_weights,
        count(distinct split) as n_splits,
        count(distinct query) as n_queries,
        max(row_order) - min(row_order) + 1 as n_places
    from {{ ref('fct_training_groups') }}
    group by group_id
)

select *
from per_group
where
    n_rows < 2
    or n_positives <> 1
    or n_weights <> 1
    or n_splits <> 1
    or n_queries <> 1
    or n_places <> n_rows
