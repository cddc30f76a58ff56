{{ config(materialized='view') }}

with

impressions as (

    select * from {{ ref('fct_impressions') }}

),

propensities as (

    select * from {{ ref('fct_position_propensities') }}
    where is_active

),

{# Every weight in the project comes from here: one row, one macro. #}
final as (

    select
        impressions.*,
        propensities.propensity,
        {{ ips_weight('propensities.propensity', var('ips_clip')) }} as ips_weight,
        {{ ips_label('impressions.clicked', 'propensities.propensity', var('ips_clip')) }}
            as ips_label,
        propensities.propensity * {{ var('ips_clip') }} < 1 as is_clipped
    from impressions
    left join propensities
        on
            impressions.propensity_context = propensities.context
            and impressions.rank = propensities.rank

)

select * from final
