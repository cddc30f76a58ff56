{# What a build has still to look at: rows wait here until every incremental model has seen them. #}
{% macro change_tables() %}
    {{ return([
        'changed_inputs', 'changed_visits', 'changed_searches', 'changed_sessions',
        'changed_deployments',
    ]) }}
{% endmacro %}
