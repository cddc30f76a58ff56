{% macro normalize_query(text) -%}
    {{ adapter.dispatch('normalize_query', 'eval_flywheel')(text) }}
{%- endmacro %}

{% macro default__normalize_query(text) -%}
    lower(trim(regexp_replace({{ text }}, '\s+', ' ', 'g')))
{%- endmacro %}
