{% macro or_zero(value) -%}
    coalesce({{ value }}, 0)
{%- endmacro %}
