{{ config(
    materialized='incremental',
    meta={'replaces': {'changed_query_days': ['query', 'search_date']}},
) }}

{# The part of the propensity cells that does not depend on the window: added up once a day. #}
with impressions as (
    select
        *,
        cast(searched_at as date) as search_date
    from {{ ref('fct_impressions') }}
),

changed as (
    select *
    from impressions
    where {{ is_replaced() }}
),

cells as (
    {{ impression_cells('changed') | indent(4) }}
)

select * from cells
