{# True for users of a deployment whose searches changed, and for all users of a changed one. #}
{% macro is_changed_canary_user(deployment_id='deployment_id', user_id='user_id') -%}
    {%- if is_incremental() -%}
        (
            {{ user_id }} in (
                select visitor from {{ source('flywheel_state', 'changed_sessions') }}
            )
            or {{ deployment_id }} in (
                select deployment_id from {{ source('flywheel_state', 'changed_deployments') }}
            )
        )
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}
