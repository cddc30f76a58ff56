{% macro record_changed_rules(incremental, rules, number) %}
    {% set last = last_rules() %}
    {% if last and last != rules %}
        {% do record_staged_rows(incremental, number, 'true') %}
        {% for node in incremental if node.name == 'int_user_agents__classified' %}
            {% set relation = adapter.get_relation(node.database, node.schema, node.alias) %}
            {% if relation is not none %}
                {% do run_query('delete from ' ~ relation) %}
            {% endif %}
        {% endfor %}
    {% endif %}
{% endmacro %}
