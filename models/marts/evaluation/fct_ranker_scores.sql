{{ config(materialized='view') }}

with scores as (
    select * from {{ source('flywheel_state', 'ranker_scores') }}
)

select
    cast(model_version as varchar) as model_version,
    cast(search_id as varchar) as search_id,
    cast(doc_id as varchar) as doc_id,
    cast(score as double) as score
from scores
