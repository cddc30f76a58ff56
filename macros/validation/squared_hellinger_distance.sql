{#
    Between two measures of any total mass, from 0 (equal) to 1 (nothing in common). For shares it
    is the squared Hellinger distance. Zero cells do it no harm, where a population stability index
    or a divergence becomes infinite; for small changes it is an eighth of that index.
#}
{% macro squared_hellinger_distance(mass_1, mass_2) -%}
    (
        {{ exact_sum('power(sqrt(' ~ mass_1 ~ ') - sqrt(' ~ mass_2 ~ '), 2)') }}
        / nullif({{ exact_sum(mass_1 ~ ' + ' ~ mass_2) }}, 0)
    )
{%- endmacro %}
