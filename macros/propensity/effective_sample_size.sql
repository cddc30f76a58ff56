{% macro effective_sample_size(weight, times=1) -%}
    (
        power(sum({{ times }} * {{ weight }}), 2)
        / nullif(sum({{ times }} * power({{ weight }}, 2)), 0)
    )
{%- endmacro %}
