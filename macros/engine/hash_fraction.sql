{% macro hash_fraction(text) %}
    {{ return(adapter.dispatch('hash_fraction', 'eval_flywheel')(text)) }}
{% endmacro %}

{% macro default__hash_fraction(text) -%}
    cast('0x' || substr(md5({{ text }}), 1, 13) as bigint) / cast(4503599627370496 as double)
{%- endmacro %}

{% macro spark__hash_fraction(text) -%}
    cast(conv(substr(md5({{ text }}), 1, 13), 16, 10) as bigint) / cast(4503599627370496 as double)
{%- endmacro %}
