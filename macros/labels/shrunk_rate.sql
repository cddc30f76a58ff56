{# The prior counts as so many examined impressions at the prior rate. #}
{% macro shrunk_rate(successes, trials, prior_rate, prior_trials) -%}
    (({{ successes }} + {{ prior_trials }} * ({{ prior_rate }}))
    / nullif({{ trials }} + cast({{ prior_trials }} as double), 0))
{%- endmacro %}
