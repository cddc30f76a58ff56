{#
    What staging holds, all of it or a range of days, is marked as changed. A model that replaces
    files says in its meta what its rows are dated by.
#}
{% macro record_staged_rows(incremental, number, start='', end='') %}
    {% for node in incremental if node.config.meta.dated_by %}
        {% set relation = adapter.get_relation(node.database, node.schema, node.alias) %}
        {% if relation is not none %}
            {% set conditions = ['true'] %}
            {% if start %}
                {% do conditions.append(
                    node.config.meta.dated_by ~ " >= cast('" ~ start ~ "' as timestamp)"
                ) %}
            {% endif %}
            {% if end %}
                {% do conditions.append(
                    node.config.meta.dated_by ~ " < cast('" ~ end ~ "' as timestamp)"
                ) %}
            {% endif %}
            {% do run_query(
                'insert into flywheel_state.changed_inputs select distinct '
                ~ node.config.meta.get('search_key', 'search_key') ~ ', ' ~ number ~ ' from ' ~ relation ~ ' where ' ~ conditions | join(' and ')
            ) %}
        {% endif %}
    {% endfor %}
{% endmacro %}
