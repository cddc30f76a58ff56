{#
    Log Bayes factor of "the arms are not split as planned" against "they are", for counts of
    users: a Dirichlet prior around the planned split, worth 10,000 users (ssrm, Lindon and Malek,
    arXiv 2011.03567). The smallest exp(-value) of all looks so far is a p-value that may be read
    at every look.
#}
{% macro srm_log_bayes_factor(n_champion, n_canary, canary_share) -%}
    {%- set total_prior = 'cast(10000 as double)' -%}
    {%- set champion_prior = total_prior ~ ' * (1 - ' ~ canary_share ~ ')' -%}
    {%- set canary_prior = total_prior ~ ' * ' ~ canary_share -%}
    {{ ln_gamma(total_prior) }}
    - {{ ln_gamma(champion_prior) }}
    - {{ ln_gamma(canary_prior) }}
    + {{ ln_gamma(champion_prior ~ ' + ' ~ n_champion) }}
    + {{ ln_gamma(canary_prior ~ ' + ' ~ n_canary) }}
    - {{ ln_gamma(total_prior ~ ' + ' ~ n_champion ~ ' + ' ~ n_canary) }}
    - {{ n_champion }} * ln(1 - {{ canary_share }})
    - {{ n_canary }} * ln({{ canary_share }})
{%- endmacro %}
