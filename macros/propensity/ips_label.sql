{% macro ips_label(clicked, propensity, clip) -%}
    ({{ clicked }} * {{ ips_weight(propensity, clip) }})
{%- endmacro %}
