{# Was the click left at once for another? #}
{% macro labelling_functions__pogo_clicks(impression) -%}
    case when {{ impression }}.clicked = 1 then {{ impression }}.is_pogo end
{%- endmacro %}
