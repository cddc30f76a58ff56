{#
    No less than the chance that somebody who clicks in a share of searches clicks in so few of
    them: Chernoff's bound, exp(-n KL(k/n, share)). Without a click it is (1 - share)^n itself.
#}
{% macro few_clicks_chance(n_searches, n_clicked_searches, click_rate) -%}
    case
        when {{ n_clicked_searches }} >= {{ click_rate }} * {{ n_searches }} then 1.0
        else exp(
            -({{ n_searches }} - {{ n_clicked_searches }})
            * ln(
                (1 - {{ n_clicked_searches }} / cast({{ n_searches }} as double))
                / (1 - {{ click_rate }})
            )
            - coalesce(
                {{ n_clicked_searches }}
                * ln(
                    nullif({{ n_clicked_searches }}, 0)
                    / ({{ click_rate }} * {{ n_searches }})
                ),
                0
            )
        )
    end
{%- endmacro %}
