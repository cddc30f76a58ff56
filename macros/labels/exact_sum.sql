{#
    Sums of doubles depend on their order in the last digits, and engines sum in parallel. As
    decimals they do not, so that the same clicks give the same training set, bit for bit.
#}
{% macro exact_sum(value, over='') -%}
    cast(sum(cast({{ value }} as decimal(38, 12))){{ ' ' ~ over if over }} as double)
{%- endmacro %}
