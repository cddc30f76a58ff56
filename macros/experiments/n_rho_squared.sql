{#
    The number of users on the scale of the confidence sequence: n * rho^2 with
    rho^2 = (-2 ln(alpha) + ln(-2 ln(alpha) + 1)) / n_star.
#}
{% macro n_rho_squared(n, alpha, n_star) -%}
    {%- set spent = '-2 * ln(cast(' ~ alpha ~ ' as double))' -%}
    cast({{ n }} as double) * ({{ spent }} + ln({{ spent }} + 1)) / cast({{ n_star }} as double)
{%- endmacro %}
