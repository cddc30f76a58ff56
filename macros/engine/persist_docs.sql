{#
    Writes the descriptions of a table and its columns into the catalog. dbt's own way asks twice
    which columns there are and sends two statements, which made up a quarter of a build; here they
    are asked for once, unless a contract has already compared them, and all comments are one
    statement.
#}
{% macro duckdb__persist_docs(relation, model, for_relation, for_columns) %}
    {% set comments = [] %}
    {% if for_relation and config.persist_relation_docs() and model.description %}
        {% do comments.append(
            'comment on ' ~ relation.type ~ ' ' ~ relation ~ ' is '
            ~ duckdb_quoted_text(model.description)
        ) %}
    {% endif %}
    {% if for_columns and config.persist_column_docs() and model.columns %}
        {% set documented = model.columns %}
        {% if not model.contract.enforced %}
            {% set existing = adapter.get_columns_in_relation(relation) | map(attribute='name') | list %}
            {% set documented = validate_doc_columns(relation, model.columns, existing) %}
        {% endif %}
        {% for name, column in documented.items() if column.description %}
            {% do comments.append(
                'comment on column ' ~ relation ~ '.'
                ~ (adapter.quote(name) if column.quote else name) ~ ' is '
                ~ duckdb_quoted_text(column.description)
            ) %}
        {% endfor %}
    {% endif %}
    {% if comments %}
        {% call statement('persist_docs') %}
            {{ comments | join(';\n') }}
        {% endcall %}
    {% endif %}
{% endmacro %}

{% macro duckdb_quoted_text(text) -%}
    '{{ text | replace("'", "''") }}'
{%- endmacro %}
