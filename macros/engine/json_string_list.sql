{# A JSON array's elements as a list of strings; null where the text is no array. #}
{% macro json_string_list(text) -%}
    {{ adapter.dispatch('json_string_list', 'eval_flywheel')(text) }}
{%- endmacro %}

{% macro default__json_string_list(text) -%}
    case when json_valid({{ text }}) then from_json({{ text }}, '["VARCHAR"]') end
{%- endmacro %}
