with training_groups as (
    select * from {{ ref('fct_training_groups') }}
),

behavior as (
    select * from {{ ref('int_behavior_features') }}
),

pairs as (
    select * from behavior
    where level = 'pair'
),

documents as (
    select * from behavior
    where level = 'document'
),

overall as (
    select * from behavior
    where level = 'all'
),

features as (
    select * from {{ ref('int_document_features') }}
)

select
    training_groups.*,
    documents.activity_date as behavior_known_on,
    {{ behavior_features(
        'pairs', 'documents', 'overall', 'training_groups.feature_date'
    ) | indent(4) }},
    features.* exclude (query, doc_id) -- noqa: RF02
from training_groups
left join pairs
    on
        training_groups.query = pairs.query
        and training_groups.doc_id = pairs.doc_id
        and {{ known_before('pairs', 'training_groups.feature_date') | indent(8) }}
left join documents
    on
        training_groups.doc_id = documents.doc_id
        and {{ known_before('documents', 'training_groups.feature_date') | indent(8) }}
left join overall
    on {{ known_before('overall', 'training_groups.feature_date') | indent(8) }}
left join features
    on
        training_groups.query = features.query
        and training_groups.doc_id = features.doc_id
