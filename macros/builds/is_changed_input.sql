{# True for input rows that came, went or are read otherwise since every model last looked. #}
{% macro is_changed_input(search_key='search_key') -%}
    {%- if is_incremental() -%}
        {{ search_key }} in (select search_key from {{ source('flywheel_state', 'changed_inputs') }})
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}
