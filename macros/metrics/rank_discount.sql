{# The DCG discount 1 / log2(1 + rank) of the first `depth` ranks, 0 below them. #}
{% macro rank_discount(rank, depth=10) -%}
    case
        when {{ rank }} <= {{ depth }}
            then cast(1 as double) / log2(cast(1 + {{ rank }} as double))
        else cast(0 as double)
    end
{%- endmacro %}
