{#
    A model that does not say what is replaced, or says it in dbt's words for something else, stops
    the run before anything is written: dbt's incremental_predicates narrow what is removed, and
    would here be asked for nothing.
#}
{% macro check_scopes(incremental) %}
    {% set problems = [] %}
    {% for node in incremental %}
        {% set replaces = node.config.meta.get('replaces') %}
        {% if node.config.get('incremental_predicates') or node.config.get('predicates') %}
            {% do problems.append(node.name ~ ' has incremental_predicates, which the strategy '
                ~ 'replace_scope does not know: say in its meta what it replaces, or name '
                ~ 'another strategy.') %}
        {% endif %}
        {% if replaces is not mapping or not replaces %}
            {% do problems.append(node.name ~ " does not say what a build replaces in it: "
                ~ "meta={'replaces': {scope: [columns]}}, the scope one of "
                ~ scopes() | join(', ') ~ '.') %}
        {% else %}
            {% for scope, columns in replaces.items() %}
                {% if scope not in scopes() %}
                    {% do problems.append(node.name ~ " replaces '" ~ scope
                        ~ "'; it must be one of " ~ scopes() | join(', ') ~ '.') %}
                {% elif columns is string or columns | length != scopes()[scope].columns | length %}
                    {% do problems.append(node.name ~ ' replaces ' ~ scope ~ ' by '
                        ~ columns ~ '; it must be a list of columns: '
                        ~ scopes()[scope].columns | join(', ') ~ '.') %}
                {% endif %}
            {% endfor %}
        {% endif %}
    {% endfor %}
    {% if problems %}
        {{ exceptions.raise_compiler_error(problems | join(' ')) }}
    {% endif %}
{% endmacro %}
