{# True for searches whose facts may differ from what the last build said of them. #}
{% macro is_changed_search(search_id='search_id') -%}
    {%- if is_incremental() -%}
        {{ search_id }} in (
            select search_id from {{ source('flywheel_state', 'changed_searches') }}
        )
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}
