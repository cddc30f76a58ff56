{#
    Sums of doubles depend on their order in the last digits, and engines sum in parallel. Weights
    are kept to a millionth, so that the same clicks give the same training set everywhere.
#}
{% macro exact_weight_sum(weight) -%}
    cast(sum(cast({{ weight }} as decimal(18, 6))) as double)
{%- endmacro %}
