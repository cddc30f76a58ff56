{# One row per element of a list column, with its place from 1. #}
{% macro unnest_with_position(relation, columns, list_column, element, position) -%}
    {{ adapter.dispatch('unnest_with_position', 'eval_flywheel')(
        relation, columns, list_column, element, position
    ) }}
{%- endmacro %}

{% macro default__unnest_with_position(relation, columns, list_column, element, position) -%}
    select
        {{ columns | join(', ') }},
        unnest({{ list_column }}) as {{ element }},
        generate_subscripts({{ list_column }}, 1) as {{ position }}
    from {{ relation }}
{%- endmacro %}
