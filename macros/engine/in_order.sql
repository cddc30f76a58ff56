{#
    An aggregate over values in their own order, for groups of a few rows: floating-point results
    then do not depend on the order in which rows happen to lie. For large groups, see exact_sum.
#}
{% macro in_order(function, value) -%}
    {{ adapter.dispatch('in_order', 'eval_flywheel')(function, value) }}
{%- endmacro %}

{% macro default__in_order(function, value) -%}
    {{ function }}({{ value }} order by {{ value }})
{%- endmacro %}
