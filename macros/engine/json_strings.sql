{# Several values of one JSON text as a list of strings, parsed once; null where it is no JSON. #}
{% macro json_strings(document, paths) -%}
    {{ adapter.dispatch('json_strings', 'eval_flywheel')(document, paths) }}
{%- endmacro %}

{% macro default__json_strings(document, paths) -%}
    case
        when json_valid({{ document }})
            then json_extract_string({{ document }}, [
                {%- for path in paths %}'{{ path }}'{{ ', ' if not loop.last }}{% endfor -%}
            ])
    end
{%- endmacro %}
