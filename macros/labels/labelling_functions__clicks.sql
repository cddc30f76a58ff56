{# Was it clicked? Position and all: a labelling function takes nothing out. #}
{% macro labelling_functions__clicks(impression) -%}
    {{ impression }}.clicked = 1
{%- endmacro %}
