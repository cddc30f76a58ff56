{{ config(materialized='view') }}

{#
    As int_training_rows, for the model that passed the gate. A view: it is read once, and only in
    a turn that deploys.
#}
with

refit_groups as (

    select * from {{ ref('int_refit_groups') }}

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
        'refit_groups', 'pairs', 'documents', 'overall', 'features'
    ) | indent(4) }}

)

select * from final
