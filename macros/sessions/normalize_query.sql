{% macro normalize_query(text) %}lower(trim(regexp_replace({{ text }}, '\s+', ' ', 'g'))){% endmacro %}
