{# What the vars of a backfill name is marked as changed. #}
{% macro record_backfill(incremental, number) %}
    {% if var('backfill_start') or var('backfill_end') %}
        {% do record_staged_rows(
            incremental, number, var('backfill_start'), var('backfill_end')
        ) %}
    {% endif %}
{% endmacro %}
