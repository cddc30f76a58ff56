{% macro epoch_seconds(timestamp_at) -%}
    {{ adapter.dispatch('epoch_seconds', 'eval_flywheel')(timestamp_at) }}
{%- endmacro %}

{% macro default__epoch_seconds(timestamp_at) -%}
    (epoch_us({{ timestamp_at }}) / cast(1000000 as double))
{%- endmacro %}

{% macro spark__epoch_seconds(timestamp_at) -%}
    (unix_micros(cast({{ timestamp_at }} as timestamp)) / cast(1000000 as double))
{%- endmacro %}
