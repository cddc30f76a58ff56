{% macro hex_to_bigint(hex) %}
    {{ return(adapter.dispatch('hex_to_bigint', 'eval_flywheel')(hex)) }}
{% endmacro %}

{% macro default__hex_to_bigint(hex) -%}
    cast('0x' || {{ hex }} as bigint)
{%- endmacro %}

{% macro spark__hex_to_bigint(hex) -%}
    cast(conv({{ hex }}, 16, 10) as bigint)
{%- endmacro %}
