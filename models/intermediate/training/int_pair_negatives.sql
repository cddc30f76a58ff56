with

clicks as (

    select * from {{ ref('int_training_clicks') }}

),

click_weights as (

    select * from {{ ref('int_click_weights') }}

),

final as (

    {{ pair_negatives('clicks', 'click_weights') | indent(4) }}

)

select * from final
