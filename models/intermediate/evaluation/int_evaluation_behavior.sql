{{ config(materialized='view') }}

{# What a model trained on the window may know when it is judged: nothing after the window. #}
with

days as (

    select * from {{ ref('int_behavior_days') }}
    where is_before_window_end

),

moments as (

    select window_end as moment
    from {{ ref('int_windows') }}

),

final as (

    {{ behavior_snapshot('days', 'moments') | indent(4) }}

)

select * from final
