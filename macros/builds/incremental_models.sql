{# The models that a build replaces in part. #}
{% macro incremental_models() %}
    {% set found = [] %}
    {% for node in graph.nodes.values()
        if node.resource_type == 'model'
        and node.config.get('incremental_strategy') == 'replace_scope'
        and node.config.materialized == 'incremental' %}
        {% do found.append(node) %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}
