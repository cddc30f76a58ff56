{#
    True for activities of the sessions in which changed searches, or their clicks, stand: what
    came next in a session says how long a visit lasted, and whether a search was tried again.
#}
{% macro is_in_changed_session(activities) -%}
    {%- if is_incremental() -%}
        session_id in (
            select session_id from {{ activities }}
            where search_id in (
                select search_id from {{ source('flywheel_state', 'changed_searches') }}
            )
        )
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}
