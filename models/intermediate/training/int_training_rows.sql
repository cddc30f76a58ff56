with

training_groups as (

    select * from {{ ref('fct_training_groups') }}

),

pairs as (

    select * from {{ ref('int_behavior_features') }}
    where level = 'pair'

),

documents as (

    select * from {{ ref('int_behavior_features') }}
    where level = 'document'

),

overall as (

    select * from {{ ref('int_behavior_features') }}
    where level = 'all'

),

features as (

    select * from {{ ref('int_document_features') }}

),

final as (

    {{ rows_with_features(
        'training_groups', 'pairs', 'documents', 'overall', 'features'
    ) | indent(4) }}

)

select * from final
