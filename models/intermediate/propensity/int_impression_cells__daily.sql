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
    select * from impressions
    {% if is_incremental() -%}
        inner join (
            select distinct
                changed_date,
                changed_query
            from {{ source('flywheel_state', 'changed_query_days') }}
        ) as query_days
            on
                impressions.query = query_days.changed_query
                and impressions.search_date = query_days.changed_date
    {%- endif %}
),

cells as (
    {{ impression_cells('changed') | indent(4) }}
)

select * from cells
