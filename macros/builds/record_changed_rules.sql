{#
    Where a rule has changed since the last build, all that staging holds is marked as changed;
    models in which nothing is ever replaced begin anew.
#}
{% macro record_changed_rules(incremental, rules, number) %}
    {% set last = last_rules() %}
    {% if last and last != rules %}
        {% do record_staged_rows(incremental, number) %}
        {% for node in incremental if 'nothing' in node.config.meta.replaces %}
            {% set relation = adapter.get_relation(node.database, node.schema, node.alias) %}
            {% if relation is not none %}
                {% do run_query('delete from ' ~ relation) %}
            {% endif %}
        {% endfor %}
    {% endif %}
{% endmacro %}
