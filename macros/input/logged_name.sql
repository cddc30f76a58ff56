{# What the log calls a column of its format. #}
{% macro logged_name(column) %}
    {% set chosen = chosen_format() %}
    {{ return(chosen.config.meta.get('names', {}).get(column, column) if chosen else column) }}
{% endmacro %}
