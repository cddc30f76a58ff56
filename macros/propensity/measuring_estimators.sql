{# In the order in which a source names them: 'randomised+ipf'. #}
{% macro measuring_estimators() -%}
    {{- return(
        estimators() | selectattr('is_measuring', 'defined') | map(attribute='name') | list
    ) -}}
{%- endmacro %}
