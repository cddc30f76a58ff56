-- A pair has the first draws of all that its groups compare it with: none of its own, and as many
-- as there is room for.
with pairs as (
    select * from {{ ref('fct_training_pairs') }}
),

training_groups as (
    select * from {{ ref('fct_training_groups') }}
),

compared as (
    select
        positives.query,
        positives.doc_id as positive_doc,
        array_agg(distinct others.doc_id) as docs
    from training_groups as positives
    inner join training_groups as others
        on
            positives.group_id = others.group_id
            and others.is_positive = 0
    where positives.is_positive = 1
    group by positives.query, positives.doc_id
)

select
    pairs.query,
    pairs.positive_doc,
    pairs.negative_docs,
    compared.docs
from pairs
full join compared
    on
        pairs.query = compared.query
        and pairs.positive_doc = compared.positive_doc
where
    pairs.query is null
    or len(pairs.negative_docs)
    <> least(coalesce(len(compared.docs), 0), {{ var('negatives_per_positive') }})
    or not list_has_all(coalesce(compared.docs, []), pairs.negative_docs)
