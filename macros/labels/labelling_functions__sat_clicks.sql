{# Did the click satisfy? Silent where nothing was clicked. #}
{% macro labelling_functions__sat_clicks(impression) -%}
    case when {{ impression }}.clicked = 1 then {{ impression }}.is_sat_click end
{%- endmacro %}
