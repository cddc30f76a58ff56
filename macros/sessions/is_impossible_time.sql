{# True for a time before the vars' earliest plausible one or after the latest. #}
{% macro is_impossible_time(timestamp_at) -%}
    (
        {{ timestamp_at }} < cast('{{ var("earliest_plausible_at") }}' as timestamp)
        {% if var('latest_plausible_at') -%}
            or {{ timestamp_at }} > cast('{{ var("latest_plausible_at") }}' as timestamp)
        {%- else -%}
            or {{ timestamp_at }} > cast('{{ run_started_at.strftime("%Y-%m-%d %H:%M:%S") }}' as timestamp)
                + interval '1' day
        {%- endif %}
    )
{%- endmacro %}
