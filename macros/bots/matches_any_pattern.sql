{#
    True where the text matches one of the regular expressions; false for an empty list. A quote in
    an expression stays text.
#}
{% macro matches_any_pattern(text, patterns) -%}
    {%- if patterns -%}
    (
        {%- for pattern in patterns %}
        regexp_matches({{ text }}, '{{ pattern | replace("'", "''") }}')
        {{- ' or' if not loop.last }}
        {%- endfor %}
    )
    {%- else -%}
    false
    {%- endif -%}
{%- endmacro %}
