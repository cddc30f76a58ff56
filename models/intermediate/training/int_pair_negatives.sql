with clicks as (
    select * from {{ ref('int_training_clicks') }}
),

click_weights as (
    select * from {{ ref('int_click_weights') }}
),

negatives as (
    {{ pair_negatives('clicks', 'click_weights') | indent(4) }}
)

select * from negatives
