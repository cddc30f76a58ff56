{# A list in which whatever stood before is null: the others keep their places. #}
{% macro first_occurrences(list_column) -%}
    {{ adapter.dispatch('first_occurrences', 'eval_flywheel')(list_column) }}
{%- endmacro %}

{% macro default__first_occurrences(list_column) -%}
    case
        when len(list_distinct({{ list_column }})) = len({{ list_column }}) then {{ list_column }}
        else [
            case when list_position({{ list_column }}, element) = place then element end
            for element, place in {{ list_column }}
        ]
    end
{%- endmacro %}
