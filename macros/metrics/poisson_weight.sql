{#
    A Poisson(1) draw by inverse CDF. Resampling clusters with independent Poisson weights is the
    bootstrap that needs no second pass: the weight of a user in a replicate depends on nothing
    else. Draws above 9 have a probability of 1e-7 and count as 9.
#}
{% macro poisson_weight(fraction) -%}
    {%- set cumulative = [
        '0.36787944117144233', '0.7357588823428847', '0.9196986029286058', '0.9810118431238463',
        '0.9963401531726563', '0.9994058151824183', '0.999916758850712', '0.9999897508033253',
        '0.999998874797402'
    ] -%}
    case
        {%- for probability in cumulative %}
        when {{ fraction }} < cast({{ probability }} as double) then {{ loop.index0 }}
        {%- endfor %}
        else {{ cumulative | length }}
    end
{%- endmacro %}
