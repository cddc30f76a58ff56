-- a group holds the pair's positive and exactly the pair's negatives
with pairs as (
    select * from {{ ref('fct_training_pairs') }}
),

training_groups as (
    select
        group_id,
        max(query) as query,
        max(case when is_positive = 1 then doc_id end) as positive_doc,
        array_sort(array_agg(doc_id) filter (where is_positive = 0)) as negative_docs
    from {{ ref('fct_training_groups') }}
    group by group_id
)

select training_groups.*
from training_groups
left join pairs
    on
        training_groups.query = pairs.query
        and training_groups.positive_doc = pairs.positive_doc
where training_groups.negative_docs is distinct from pairs.negative_docs
