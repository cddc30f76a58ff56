{% macro format_decimal(value, digits=3, signed=false) %}
    {{ return(adapter.dispatch('format_decimal', 'eval_flywheel')(value, digits, signed)) }}
{% endmacro %}

{% macro default__format_decimal(value, digits, signed) -%}
    printf('%{{ "+" if signed }}.{{ digits }}f', {{ value }})
{%- endmacro %}

{% macro spark__format_decimal(value, digits, signed) -%}
    format_string('%{{ "+" if signed }}.{{ digits }}f', {{ value }})
{%- endmacro %}
