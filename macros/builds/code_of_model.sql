{# md5 of a model's text, of the macros it calls, and of the models it reads; kept in `codes`. #}
{% macro code_of_model(unique_id, codes) %}
    {% if unique_id not in codes %}
        {% set node = graph.nodes[unique_id] %}
        {% set texts = {unique_id: node.checksum.checksum} %}
        {% do add_macro_texts(node.depends_on.macros, node.package_name, texts) %}
        {% for parent in node.depends_on.nodes if parent.startswith('model.') %}
            {% do texts.update({parent: code_of_model(parent, codes)}) %}
        {% endfor %}
        {% do codes.update({unique_id: local_md5(tojson(texts, sort_keys=true))}) %}
    {% endif %}
    {{ return(codes[unique_id]) }}
{% endmacro %}
