{# A document without one address that it was found to hold; shorter texts are no addresses. #}
{% macro without_address(document, ip) -%}
    case
        when length({{ ip }}) >= 7 then replace({{ document }}, {{ ip }}, '[address]')
        else {{ document }}
    end
{%- endmacro %}
