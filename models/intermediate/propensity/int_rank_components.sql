with

position_cells as (

    select * from {{ ref('int_position_cells') }}

),

regimes as (

    select * from {{ ref('int_propensity_regimes') }}

),

cells as (

    {{ comparable_cells('position_cells', 'regimes') | indent(4) }}

),

components as (

    {{ rank_components('cells', 10) | indent(4) }}

),

final as (

    select
        context,
        rank,
        component
    from components

)

select * from final
