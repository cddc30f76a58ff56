{#
    The as-of join as a plain range condition, which every engine can run: a row holds from the day
    after its own until the day of the next one.
#}
{% macro known_before(features, day) -%}
    {{ features }}.activity_date < {{ day }}
    and {{ features }}.next_activity_date >= {{ day }}
{%- endmacro %}
