{# The vars that say which log is read. Another log takes the place of the one before it. #}
{% macro log_vars() %}
    {{ return(['log_format', 'raw_queries', 'raw_events', 'flat_log', 'address_salt']) }}
{% endmacro %}
