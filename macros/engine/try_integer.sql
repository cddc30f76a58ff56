{# Text to bigint, where 3 and 3.0 are numbers and 3.5 is not an integer; null otherwise. #}
{% macro try_integer(text) -%}
    case
        when try_cast({{ text }} as double) = floor(try_cast({{ text }} as double))
            then try_cast(try_cast({{ text }} as double) as bigint)
    end
{%- endmacro %}
