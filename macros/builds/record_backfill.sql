{% macro record_backfill(incremental, number) %}
    {% if var('backfill_start') or var('backfill_end') %}
        {% set conditions = [] %}
        {% if var('backfill_start') %}
            {% do conditions.append(
                "logged_at >= cast('" ~ var('backfill_start') ~ "' as timestamp)"
            ) %}
        {% endif %}
        {% if var('backfill_end') %}
            {% do conditions.append(
                "logged_at < cast('" ~ var('backfill_end') ~ "' as timestamp)"
            ) %}
        {% endif %}
        {% do record_staged_rows(incremental, number, conditions | join(' and ')) %}
    {% endif %}
{% endmacro %}
