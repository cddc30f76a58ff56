{# Where an element first stands in a list, from 1; null where it does not. #}
{% macro list_position(list_column, element) -%}
    {{ adapter.dispatch('list_position', 'eval_flywheel')(list_column, element) }}
{%- endmacro %}

{% macro default__list_position(list_column, element) -%}
    cast(nullif(list_position({{ list_column }}, {{ element }}), 0) as bigint)
{%- endmacro %}
