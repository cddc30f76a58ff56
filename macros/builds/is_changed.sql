{# True for rows of one scope, in a build that replaces; a build from nothing reads all rows. #}
{% macro is_changed(scope, columns) -%}
    {%- if is_incremental() and execute -%}
        {%- set known = scopes()[scope] -%}
        {{ known.condition.format(
            *columns, table=source('flywheel_state', known.table) if known.get('table') else ''
        ) }}
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}
