{#
    Stops a build whose gate_metric names no offline goal: nothing could ever pass a gate without a
    row. Asked where the list is, and not with the other vars: what a seed holds is known only once
    it is loaded.
#}
{% macro check_gate_metric(metrics) %}
    {% if execute %}
        {% set goals = [] %}
        {% for row in run_query(
            'select metric from ' ~ metrics
            ~ " where stage = 'offline' and role = 'goal' order by priority"
        ).rows %}
            {% do goals.append(row[0]) %}
        {% endfor %}
        {% if var('gate_metric') not in goals %}
            {{ exceptions.raise_compiler_error(
                "gate_metric is '" ~ var('gate_metric') ~ "'; it must be one of "
                ~ goals | join(', ') ~ '.'
            ) }}
        {% endif %}
    {% endif %}
{% endmacro %}
