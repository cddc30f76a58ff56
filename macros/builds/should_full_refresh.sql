{#
    dbt's question whether a model is built from nothing: as asked for, or because its text changed
    (find_outdated_models). The table that stands is replaced only when the new one is made.
#}
{% macro should_full_refresh() %}
    {% set asked = config.get('full_refresh') %}
    {% if asked is none %}
        {% set asked = flags.FULL_REFRESH %}
    {% endif %}
    {% set node = graph.nodes.get(model.unique_id, {}) %}
    {{ return(asked or node.get('is_outdated', false)) }}
{% endmacro %}
