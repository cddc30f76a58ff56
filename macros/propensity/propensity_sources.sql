{#
    In the order of a sentence: measured, by one estimator or by several together; fitted, taken
    over from all contexts, assumed.
#}
{% macro propensity_sources() -%}
    {%- set measured = namespace(names=[]) -%}
    {%- for name in measuring_estimators() | reverse -%}
        {%- set together = [name] -%}
        {%- for source in measured.names -%}
            {%- do together.append(name ~ '+' ~ source) -%}
        {%- endfor -%}
        {%- set measured.names = together + measured.names -%}
    {%- endfor -%}
    {%- set sources = [] -%}
    {%- for name in measured.names -%}
        {%- do sources.append({'name': name, 'words': name | replace('+', ' and ')}) -%}
    {%- endfor -%}
    {{- return(sources + [
        {'name': 'fitted_power_law', 'words': '1 / rank ^ alpha'},
        {'name': 'all_contexts', 'words': 'the curve of all contexts together'},
        {'name': 'power_law', 'words': '1 / rank ^ alpha'},
    ]) -}}
{%- endmacro %}
