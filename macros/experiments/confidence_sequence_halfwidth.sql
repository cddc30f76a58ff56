{#
    Half the width of a two-sided asymptotic confidence sequence (Waudby-Smith et al., arXiv
    2103.06476, eq. 9, in GrowthBook's form): it covers the truth at every look at once with
    probability 1 - alpha, so that looking every day costs nothing. It is narrowest near `n_star`
    users, which must be fixed before the canary starts.
#}
{% macro confidence_sequence_halfwidth(se, n, alpha, n_star) -%}
    {%- set n_rho = '(' ~ n_rho_squared(n, alpha, n_star) ~ ')' -%}
    ({{ se }}) * sqrt(
        ({{ n_rho }} + 1) / nullif({{ n_rho }}, 0)
        * ln(({{ n_rho }} + 1) / power(cast({{ alpha }} as double), 2))
    )
{%- endmacro %}
