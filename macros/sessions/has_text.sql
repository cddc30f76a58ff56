{# True where a text holds anything but white space; false for null. Cheaper than to normalise it. #}
{% macro has_text(text) -%}
    {{ adapter.dispatch('has_text', 'eval_flywheel')(text) }}
{%- endmacro %}

{% macro default__has_text(text) -%}
    coalesce(regexp_matches({{ text }}, '\S'), false)
{%- endmacro %}
