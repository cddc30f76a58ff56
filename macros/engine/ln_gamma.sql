{% macro ln_gamma(x) %}
    {{ return(adapter.dispatch('ln_gamma', 'eval_flywheel')(x)) }}
{% endmacro %}

{% macro default__ln_gamma(x) -%}
    lgamma({{ x }})
{%- endmacro %}

{# Spark has no such function: Stirling's series, shifted by 8 so that it holds from x > 0. #}
{% macro spark__ln_gamma(x) -%}
    {%- set y = '((' ~ x ~ ') + cast(8 as double))' -%}
    (
        ({{ y }} - cast(0.5 as double)) * ln({{ y }}) - {{ y }}
        + cast(0.9189385332046727 as double)
        + cast(1 as double) / (12 * {{ y }})
        - cast(1 as double) / (360 * power({{ y }}, 3))
        + cast(1 as double) / (1260 * power({{ y }}, 5))
        - cast(1 as double) / (1680 * power({{ y }}, 7))
        + cast(1 as double) / (1188 * power({{ y }}, 9))
        {%- for shift in range(8) %}
        - ln(({{ x }}) + {{ shift }})
        {%- endfor %}
    )
{%- endmacro %}
