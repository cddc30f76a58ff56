{% macro propensity_context(columns) -%}
    {%- if not columns -%}
        'all'
    {%- else -%}
        {%- for column in columns %}
        {{ "'|' || " if not loop.first }}'{{ column }}='
        || coalesce(cast({{ column }} as string), 'unknown')
        {{- ' ||' if not loop.last }}
        {%- endfor %}
    {%- endif -%}
{%- endmacro %}
