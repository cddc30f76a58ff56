{% macro register_raw_sources() %}
{% endmacro %}
