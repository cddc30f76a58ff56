{#
    Evidence against "no difference" that may be read at any look: at least 1 / alpha exactly when
    the confidence sequence of the same alpha and n_star excludes zero, and min(1, 1 / e) is a
    p-value. The exponent is cut at 700, above which a double overflows. `case` first: least()
    skips nulls, so a missing difference would become the strongest evidence there is.
#}
{% macro e_value(delta, se, n, alpha, n_star) -%}
    {%- set n_rho = '(' ~ n_rho_squared(n, alpha, n_star) ~ ')' -%}
    case
        when {{ delta }} is not null and {{ se }} > 0
            then
                exp(
                    least(
                        {{ n_rho }} / ({{ n_rho }} + 1)
                        * power(({{ delta }}) / ({{ se }}), 2) / 2,
                        cast(700 as double)
                    )
                ) / sqrt({{ n_rho }} + 1)
    end
{%- endmacro %}
