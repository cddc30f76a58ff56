{#
    Fisher information about the decay in where clicks fell among the ranks of their document, at
    a given alpha; estimators__fitted_power_law derives it. Its inverse root is the standard
    error to be expected before anything is fitted.
#}
{% macro alpha_information(cells, document_keys, alpha) %}
    select
        context,
        {{ exact_sum(
            'n_clicks * greatest('
            ~ 'weighted_square / weight - power(weighted_log_rank / weight, 2), 0)'
        ) }} as information
    from (
        select
            context,
            sum(n_clicks) as n_clicks,
            {{ exact_sum('n_impressions * ' ~ power_law_propensity('rank', alpha)) }} as weight,
            {{ exact_sum(
                'n_impressions * ' ~ power_law_propensity('rank', alpha)
                ~ ' * ln(cast(rank as double))'
            ) }} as weighted_log_rank,
            {{ exact_sum(
                'n_impressions * ' ~ power_law_propensity('rank', alpha)
                ~ ' * power(ln(cast(rank as double)), 2)'
            ) }} as weighted_square
        from {{ cells }}
        group by context, {{ document_keys | join(', ') }}
        having min(rank) < max(rank) and sum(n_clicks) > 0
    ) as documents
    group by context
{% endmacro %}
