{# What the var log_format names, among the formats declared; none where it names none. #}
{% macro chosen_format() %}
    {% for source in declared_formats() if source.config.meta.format == var('log_format') %}
        {{ return(source) }}
    {% endfor %}
    {{ return(none) }}
{% endmacro %}
