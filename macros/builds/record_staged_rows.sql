{# What staging holds, all of it or a range of days, is marked as changed. #}
{% macro record_staged_rows(incremental, number, condition) %}
    {% set times = {'stg_ubi__documents': 'logged_at', 'stg_flat__rows': 'searched_at'} %}
    {% for node in incremental if node.name in times %}
        {% set relation = adapter.get_relation(node.database, node.schema, node.alias) %}
        {% if relation is not none %}
            {% do run_query(
                'insert into flywheel_state.changed_inputs select distinct search_key, '
                ~ number ~ ' from ' ~ relation ~ ' where '
                ~ condition | replace('logged_at', times[node.name])
            ) %}
        {% endif %}
    {% endfor %}
{% endmacro %}
