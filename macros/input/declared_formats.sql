{#
    The sources of logs, as declared beside their models (models/staging/<format>/): which vars
    name their files, what kinds of files these may be, which reader shows them, and which model
    keeps them. One that is `like` another is read as that one, with other names.
#}
{% macro declared_formats() %}
    {% set formats = [] %}
    {% for source in graph.sources.values() if source.config.meta.get('format') %}
        {% do formats.append(source) %}
    {% endfor %}
    {{ return(formats | sort(attribute='name')) }}
{% endmacro %}
