{% macro effective_sample_size(weight, times=1) -%}
    (
        power({{ exact_sum(times ~ ' * ' ~ weight) }}, 2)
        / nullif({{ exact_sum(times ~ ' * power(' ~ weight ~ ', 2)') }}, 0)
    )
{%- endmacro %}
