{# The prior counts as so many examined impressions at the prior rate. #}
{% macro shrunk_rate(successes, trials, prior_rate, prior_trials) -%}
    ((coalesce({{ successes }}, 0) + {{ prior_trials }} * coalesce({{ prior_rate }}, 0))
    / nullif(coalesce({{ trials }}, 0) + cast({{ prior_trials }} as double), 0))
{%- endmacro %}
