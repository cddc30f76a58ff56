{# Did the search end with the click? #}
{% macro labelling_functions__last_clicks(impression) -%}
    case when {{ impression }}.clicked = 1 then {{ impression }}.is_last_click end
{%- endmacro %}
