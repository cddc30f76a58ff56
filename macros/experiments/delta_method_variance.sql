{#
    Variance of a ratio of two means over users, R = sum(y) / sum(d), by the delta method:
    mean(e^2) / (n * mean(d)^2) with e = y - R * d, which is sum(e^2) / sum(d)^2 and needs no n
    (Deng, Knoblich and Lu 2018). The user is the unit of assignment, so searches of one user are
    never taken for independent. Rounding may leave -1e-20 where the variance is 0, hence greatest;
    where there are no sums the denominator makes it null.
#}
{% macro delta_method_variance(sum_y, sum_d, sum_yy, sum_dd, sum_yd) -%}
    {%- set mean = '(' ~ ratio(sum_y, sum_d) ~ ')' -%}
    greatest(
        ({{ sum_yy }}) - 2 * {{ mean }} * ({{ sum_yd }}) + {{ mean }} * {{ mean }} * ({{ sum_dd }}),
        cast(0 as double)
    ) / nullif(power(cast({{ sum_d }} as double), 2), 0)
{%- endmacro %}
