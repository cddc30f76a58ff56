{#
    The place from 1 that a log says, or the hit list: where hit lists are what an application
    counts, they also say the rank.
#}
{% macro logged_rank(from_ordinal, list_rank, impression_source) -%}
    cast(case
        when {{ impression_source }} = 'hit_list' then coalesce({{ list_rank }}, {{ from_ordinal }})
        else coalesce({{ from_ordinal }}, {{ list_rank }})
    end as bigint)
{%- endmacro %}
