{# Octaves: visits are about lognormal, and fixed bounds mean the same in every window. #}
{% macro dwell_band(dwell_seconds) -%}
    case
        when {{ dwell_seconds }} is null then 'unknown'
        when {{ dwell_seconds }} < 2 then 'below 2 s'
        {%- for exponent in range(2, 13) %}
        when {{ dwell_seconds }} < {{ 2 ** exponent }}
            then '{{ 2 ** (exponent - 1) }} to {{ 2 ** exponent }} s'
        {%- endfor %}
        else 'from {{ 2 ** 12 }} s'
    end
{%- endmacro %}
