{#
    Where chance alone chose the rank, relevance is the same at every rank, and the click rates
    differ by examination only. Cells whose impressions were drawn with chances that the log names
    (logging_propensity) count by one over them; in the others each counts once.
#}
{% macro estimators__randomised(cells) %}
    with randomised as (
        select
            *,
            coalesce(weighted_impressions, n_impressions) as exposure,
            coalesce(weighted_clicks, n_clicks) as gain
        from {{ cells }}
        where is_randomised
    ),

    counts as (
        {{
            leave_one_group_out('randomised', ['context', 'rank'], ['exposure', 'gain'])
            | indent(8)
        }}
    ),

    rates as (
        select
            *,
            gain / nullif(exposure, 0) as click_rate
        from counts
    ),

    top_rank as (
        select
            context,
            replicate,
            click_rate
        from rates
        where rank = 1
    )

    select
        rates.context,
        rates.replicate,
        rates.rank,
        rates.click_rate / nullif(top_rank.click_rate, 0) as propensity,
        rates.n_impressions,
        rates.n_clicks,
        cast(null as double) as last_step_change
    from rates
    inner join top_rank
        on
            rates.context = top_rank.context
            and rates.replicate = top_rank.replicate
{% endmacro %}
