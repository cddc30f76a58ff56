{# A string literal: the vars a table was built with, for the record. #}
{% macro vars_as_json(names) -%}
    {%- set values = {} -%}
    {%- for name in names -%}
        {%- do values.update({name: var(name)}) -%}
    {%- endfor -%}
    '{{ tojson(values, sort_keys=true) | replace("'", "''") }}'
{%- endmacro %}
