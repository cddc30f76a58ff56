{# double before dividing: Spark reads 1.0 as a decimal and would keep only a few digits. #}
{% macro power_law_propensity(rank, alpha) -%}
    (cast(1 as double) / power(cast({{ rank }} as double), {{ alpha }}))
{%- endmacro %}
