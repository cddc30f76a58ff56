{{ config(materialized='view') }}

with

days as (

    select * from {{ ref('int_behavior_days') }}
    where is_before_evaluation_end

),

moments as (

    select evaluation_end as moment
    from {{ ref('int_windows') }}

),

final as (

    {{ behavior_snapshot('days', 'moments') | indent(4) }}

)

select * from final
