{# Why a place cannot be used, once it is known from which number an application counts. #}
{% macro rank_rejection(ordinal, from_ordinal, list_rank) -%}
    case
        when {{ ordinal }} < -1 then 'impossible_rank'
        when {{ from_ordinal }} < 1 or {{ from_ordinal }} > {{ var('max_rank') }}
            then 'impossible_rank'
        when coalesce({{ from_ordinal }}, {{ list_rank }}) is null then 'missing_rank'
    end
{%- endmacro %}
