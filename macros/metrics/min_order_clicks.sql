{# Clicks that a rank needs to speak for an order: with fewer the logarithm of its rate is biased. #}
{% macro min_order_clicks() -%}
    5
{%- endmacro %}
