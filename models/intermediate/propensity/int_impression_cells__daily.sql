{{ config(
    materialized='incremental',
    incremental_predicates=[
        'exists (select 1 from flywheel_state.changed_query_days '
        ~ 'where changed_query = query and changed_date = search_date)',
    ],
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
    where {{ is_changed_query_day('query', 'search_date') | indent(4) }}
),

cells as (
    {{ impression_cells('changed') | indent(4) }}
)

select * from cells
