with impressions as (
    select * from {{ ref('fct_impressions') }}
),

windows as (
    select * from {{ ref('int_windows') }}
),

propensities as (
    select *
    from {{ ref('fct_position_propensities') }}
    where is_active
),

weighted as (
    {{ weighted_impressions(
        'impressions', 'windows', 'propensities', 'window_start', 'window_end'
    ) | indent(4) }}
)

select * from weighted
