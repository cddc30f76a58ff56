{# True for days and queries in which changed searches count, or counted. #}
{% macro is_changed_query_day(query, search_date) -%}
    {%- if is_incremental() -%}
        exists (
            select 1 from {{ source('flywheel_state', 'changed_query_days') }}
            where changed_query = {{ query }} and changed_date = {{ search_date }}
        )
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}
