{#
    Puts the texts of a package's macros, and of those they call, into `texts`. What an engine
    spells otherwise is found by its name; dbt's own macros are not the project's.
#}
{% macro add_macro_texts(macro_ids, package, texts) %}
    {% for macro_id in macro_ids if macro_id.startswith('macro.' ~ package ~ '.') %}
        {% set name = macro_id.split('.') | last %}
        {% for spelled in (name, 'default__' ~ name, adapter.type() ~ '__' ~ name) %}
            {% if spelled in context and 'macro.' ~ spelled not in texts %}
                {% set macro = context[spelled].macro %}
                {% do texts.update({'macro.' ~ spelled: macro.macro_sql}) %}
                {% do add_macro_texts(macro.depends_on.macros, package, texts) %}
            {% endif %}
        {% endfor %}
    {% endfor %}
{% endmacro %}
