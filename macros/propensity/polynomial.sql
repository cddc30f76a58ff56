{# Horner's scheme, the highest power first. #}
{% macro polynomial(coefficients, x) -%}
    {{- '(' * (coefficients | length - 1) }}cast({{ coefficients[0] }} as double)
    {%- for coefficient in coefficients[1:] %} * {{ x }} + cast({{ coefficient }} as double))
    {%- endfor -%}
{%- endmacro %}
