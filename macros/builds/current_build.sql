{# The number of the build that is running. #}
{% macro current_build() -%}
    (select max(build_number) from flywheel_state.builds)
{%- endmacro %}
