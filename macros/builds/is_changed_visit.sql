{# True for moments of a visitor that have to be cut into sessions anew. #}
{% macro is_changed_visit(user_id, moment) -%}
    {%- if is_incremental() -%}
        exists (
            select 1 from {{ source('flywheel_state', 'changed_visits') }}
            where visitor = {{ user_id }} and {{ moment }} between range_start and range_end
        )
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}
