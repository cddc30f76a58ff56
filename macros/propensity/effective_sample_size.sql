{% macro effective_sample_size(weight) -%}
    (power(sum({{ weight }}), 2) / nullif(sum(power({{ weight }}, 2)), 0))
{%- endmacro %}
