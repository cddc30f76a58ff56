{# One value of a JSON text as a string; null where it is no JSON or has none. #}
{% macro json_string(document, path) -%}
    {{ adapter.dispatch('json_string', 'eval_flywheel')(document, path) }}
{%- endmacro %}

{% macro default__json_string(document, path) -%}
    case when json_valid({{ document }}) then json_extract_string({{ document }}, '{{ path }}') end
{%- endmacro %}
