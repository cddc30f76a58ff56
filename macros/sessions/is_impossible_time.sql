{#
    True for a time before the vars' earliest plausible one or after the latest: by default a day
    after the row arrived, so that a verdict does not depend on when a build ran.
#}
{% macro is_impossible_time(timestamp_at, arrived_at) -%}
    (
        {{ timestamp_at }} < cast('{{ var("earliest_plausible_at") }}' as timestamp)
        {% if var('latest_plausible_at') -%}
            or {{ timestamp_at }} > cast('{{ var("latest_plausible_at") }}' as timestamp)
        {%- else -%}
            or {{ timestamp_at }} > {{ arrived_at }} + interval '1' day
        {%- endif %}
    )
{%- endmacro %}
