{#
    `case` first: least() skips nulls, so a missing propensity would silently become the largest
    weight there is.
#}
{% macro ips_weight(propensity, clip) -%}
    (
        case
            when {{ propensity }} > 0
                then least(cast(1 as double) / {{ propensity }}, cast({{ clip }} as double))
        end
    )
{%- endmacro %}
