with training_groups as (
    select * from {{ ref('fct_training_groups') }}
),

behavior as (
    select * from {{ ref('int_behavior_features') }}
),

features as (
    select * from {{ ref('int_document_features') }}
),

training_rows as (
    {{ rows_with_features('training_groups', 'behavior', 'features') | indent(4) }}
)

select * from training_rows
