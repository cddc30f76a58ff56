{# The rules as text that can be compared; the seeds that models read are rules too. #}
{% macro rules_as_json() %}
    {% set values = {} %}
    {% for name in rule_vars() %}
        {% do values.update({name: var(name)}) %}
    {% endfor %}
    {% for node in graph.nodes.values() if node.resource_type == 'seed' %}
        {% do values.update({'seed ' ~ node.name: node.checksum.checksum}) %}
    {% endfor %}
    {{ return(tojson(values, sort_keys=true)) }}
{% endmacro %}
