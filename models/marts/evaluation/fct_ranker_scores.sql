{{ config(materialized='view') }}

with

scores as (

    select * from {{ source('flywheel_state', 'ranker_scores') }}

),

final as (

    select
        cast(model_version as string) as model_version,
        cast(search_id as string) as search_id,
        cast(doc_id as string) as doc_id,
        cast(score as double) as score
    from scores

)

select * from final
