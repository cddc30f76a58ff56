{#
    A table that no build has recorded was made before there were builds, or left behind by a model
    that was switched off for a while: nobody knows what it has seen.
#}
{% macro drop_unrecorded_models(incremental) %}
    {% set recorded = run_query(
        'select distinct model_name from flywheel_state.model_builds'
    ).columns[0].values() | list %}
    {% for node in incremental if node.name not in recorded %}
        {% set relation = adapter.get_relation(node.database, node.schema, node.alias) %}
        {% if relation is not none %}
            {% do adapter.drop_relation(relation) %}
        {% endif %}
    {% endfor %}
    {% do run_query(
        "delete from flywheel_state.model_builds where model_name not in ('"
        ~ incremental | map(attribute='name') | join("', '") ~ "')"
    ) %}
{% endmacro %}
