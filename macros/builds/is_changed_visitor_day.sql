{# True for days of a visitor on which anything was cut into sessions anew. #}
{% macro is_changed_visitor_day(user_id, moment) -%}
    {%- if is_incremental() -%}
        exists (
            select 1 from {{ source('flywheel_state', 'changed_visits') }}
            where
                visitor = {{ user_id }}
                and cast({{ moment }} as date)
                between cast(range_start as date) and cast(range_end as date)
        )
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}
