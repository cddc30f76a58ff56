{# Did it lead to a conversion? Logs know some without a click; one that knows none says nothing. #}
{% macro labelling_functions__conversions(impression) -%}
    {{ impression }}.is_converted
{%- endmacro %}
