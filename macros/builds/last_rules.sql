{% macro last_rules() %}
    {{ return(run_query(
        'select rules from flywheel_state.builds order by build_number desc limit 1'
    ).columns[0].values() | first) }}
{% endmacro %}
