{#
    Who searched. Query rows carry only the client, so the client comes first; a row that names
    nobody is its own visitor, so that it is neither lost nor lumped together with others.
#}
{% macro visitor_id(client_id, user_id, session_id, fallback) -%}
    coalesce({{ client_id }}, {{ user_id }}, {{ session_id }}, 'unknown:' || {{ fallback }})
{%- endmacro %}
