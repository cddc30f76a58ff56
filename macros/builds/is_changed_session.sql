{# True for sessions that hold a changed search, or held one before. #}
{% macro is_changed_session(session_id='session_id') -%}
    {%- if is_incremental() -%}
        {{ session_id }} in (
            select session_id from {{ source('flywheel_state', 'changed_sessions') }}
        )
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}
