{% macro propensity_context(columns) -%}
    {%- if columns -%}
        {%- for column in columns -%}
            '{{ column }}=' || coalesce(cast({{ column }} as varchar), 'unknown')
            {{- " || '|' || " if not loop.last }}
        {%- endfor -%}
    {%- else -%}
        'all'
    {%- endif -%}
{%- endmacro %}
