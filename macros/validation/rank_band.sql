{# Each place of the first page by itself; below it clicks are too few for that. #}
{% macro rank_band(rank) -%}
    case
        when {{ rank }} <= 10 then 'rank ' || cast({{ rank }} as string)
        when {{ rank }} <= 20 then 'ranks 11 to 20'
        when {{ rank }} <= 50 then 'ranks 21 to 50'
        when {{ rank }} <= 100 then 'ranks 51 to 100'
        else 'ranks above 100'
    end
{%- endmacro %}
