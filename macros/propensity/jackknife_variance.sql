{# Taken about the mean of the replicates; null with fewer than two of them. #}
{% macro jackknife_variance(estimate) -%}
    (
        {{ in_order('var_samp', estimate) }}
        * power(count({{ estimate }}) - 1, 2) / nullif(count({{ estimate }}), 0)
    )
{%- endmacro %}
