{#
    Cornish-Fisher expansion (Abramowitz and Stegun 26.7.5): few jackknife groups make the standard
    error itself uncertain, and a normal quantile would cover too rarely.
#}
{% macro student_t_quantile(normal_quantile, degrees_of_freedom) -%}
    {%- set z = 'cast(' ~ normal_quantile ~ ' as double)' -%}
    {%- set n = 'cast(' ~ degrees_of_freedom ~ ' as double)' -%}
    (
        {{ z }}
        + (power({{ z }}, 3) + {{ z }}) / (4 * {{ n }})
        + (5 * power({{ z }}, 5) + 16 * power({{ z }}, 3) + 3 * {{ z }}) / (96 * power({{ n }}, 2))
        + (3 * power({{ z }}, 7) + 19 * power({{ z }}, 5) + 17 * power({{ z }}, 3) - 15 * {{ z }})
        / (384 * power({{ n }}, 3))
        + (
            79 * power({{ z }}, 9) + 776 * power({{ z }}, 7) + 1482 * power({{ z }}, 5)
            - 1920 * power({{ z }}, 3) - 945 * {{ z }}
        ) / (92160 * power({{ n }}, 4))
    )
{%- endmacro %}
