{#
    True for activities of the sessions in which changed searches, or their clicks, stand: what
    came next in a session says how long a visit lasted, and whether a search was tried again.
#}
{% macro is_in_changed_session(activities) -%}
    {%- if is_incremental() -%}
        session_id in (
            select session_id from {{ activities }}
            where {{ is_changed('changed_searches', ['search_id']) }}
        )
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}
