{#
    One number for the whole curve. Given how often document d was clicked in all, its clicks
    fall on its ranks in proportion to impressions * rank ^ -alpha, whatever its attraction: a
    multinomial with alpha as the only unknown. So no rank needs clicks of its own, and a
    hundred thousand documents with two clicks each say as much as a few with many. The
    logarithm of the likelihood is concave in alpha:

        slope = sum over documents of clicks * (mean of log rank - mean log rank of its clicks)
        curvature = - sum over documents of clicks * variance of log rank

    with mean and variance over the document's ranks, weighted by impressions * rank ^ -alpha,
    and Newton's step is slope / -curvature.

    A document is taken anew under every set of serving models, as in ipf_propensities. Ranks
    are counted from the document's topmost one, which changes neither slope nor curvature, but
    keeps the weights of deep ranks from vanishing among the decimals of exact_sum.
#}
{% macro fitted_power_law_propensities(cells, steps=30) %}
    {% set tolerance = 1e-9 %}
    {# Where all clicks lie at the top alpha runs off; beyond these it is only kept countable. #}
    {% set bounds = ('cast(-5 as double)', 'cast(5 as double)') %}
    {% set weight = 'telling.n_impressions * exp(-fits.alpha * telling.log_rank)' %}
    with recursive documents as (
        select
            context,
            serving_regime,
            query,
            doc_id,
            min(rank) as top_rank,
            row_number() over (order by context, serving_regime, query, doc_id) as document
        from {{ cells }}
        group by context, serving_regime, query, doc_id
        having count(distinct rank) > 1 and sum(n_clicks) > 0
    ),

    informative as (
        select
            cells.context,
            documents.document,
            documents.top_rank,
            cells.rank,
            cells.jackknife_group,
            cells.n_impressions,
            cells.n_clicks
        from {{ cells }} as cells
        inner join documents
            on
                cells.context = documents.context
                and cells.serving_regime = documents.serving_regime
                and cells.query = documents.query
                and cells.doc_id = documents.doc_id
    ),

    replicated as (
        {{ leave_one_group_out('informative', ['context', 'document', 'top_rank', 'rank'])
           | indent(8) }}
    ),

    slots as (
        select
            context,
            replicate,
            row_number() over (order by context, replicate) as slot
        from replicated
        group by context, replicate
    ),

    edges as (
        select
            slots.slot,
            replicated.document,
            ln(cast(replicated.rank as double) / replicated.top_rank) as log_rank,
            cast(replicated.n_impressions as double) as n_impressions,
            cast(replicated.n_clicks as double) as n_clicks,
            cast(
                sum(replicated.n_clicks) over (partition by slots.slot, replicated.document)
                as double
            ) as document_clicks
        from replicated
        inner join slots
            on
                replicated.context = slots.context
                and replicated.replicate = slots.replicate
        where replicated.n_impressions > 0
    ),

    telling as (
        select *
        from edges
        where document_clicks > 0
    ),

    observed as (
        select
            slot,
            {{ exact_sum('n_clicks * log_rank') }} as log_rank_of_clicks
        from telling
        group by slot
    ),

    -- the recursion ends when no alpha moves any more, or after the given steps
    fits as (
        select
            slot,
            0 as step,
            cast(0 as double) as alpha,
            cast(1 as double) as step_change,
            cast(0 as double) as curvature,
            true as is_moving
        from slots

        union all

        select
            slot,
            step,
            -- only alpha is bounded, not its step: a fit that leans on a bound never comes to rest
            greatest({{ bounds[0] }}, least({{ bounds[1] }}, previous_alpha + newton_step))
                as alpha,
            abs(newton_step) as step_change,
            curvature,
            bool_or(abs(newton_step) > {{ tolerance }}) over () as is_moving
        from (
            select
                expectations.slot,
                max(expectations.step) + 1 as step,
                max(expectations.alpha) as previous_alpha,
                {{ exact_sum('expectations.document_clicks * expectations.variance') }}
                    as curvature,
                greatest(-1, least(1, coalesce(
                    (
                        {{ exact_sum('expectations.document_clicks * expectations.mean') }}
                        - max(observed.log_rank_of_clicks)
                    )
                    / nullif(
                        {{ exact_sum('expectations.document_clicks * expectations.variance') }}, 0
                    ),
                    0
                ))) as newton_step
            from (
                select
                    slot,
                    step,
                    alpha,
                    document_clicks,
                    weighted_log_rank / weight as mean,
                    greatest(
                        weighted_square / weight - power(weighted_log_rank / weight, 2), 0
                    ) as variance
                from (
                    select
                        telling.slot,
                        telling.document,
                        max(fits.step) as step,
                        max(fits.alpha) as alpha,
                        max(telling.document_clicks) as document_clicks,
                        {{ exact_sum(weight) }} as weight,
                        {{ exact_sum(weight ~ ' * telling.log_rank') }} as weighted_log_rank,
                        {{ exact_sum(weight ~ ' * telling.log_rank * telling.log_rank') }}
                            as weighted_square
                    from telling
                    inner join fits
                        on telling.slot = fits.slot
                    where fits.is_moving and fits.step < {{ steps }}
                    group by telling.slot, telling.document
                ) as sums
            ) as expectations
            inner join observed
                on expectations.slot = observed.slot
            group by expectations.slot
        ) as updated
    ),

    last_steps as (
        select max(step) as step
        from fits
    ),

    alphas as (
        select
            slots.context,
            slots.replicate,
            fits.alpha,
            fits.step_change
        from fits
        inner join last_steps
            on fits.step = last_steps.step
        inner join slots
            on fits.slot = slots.slot
        -- without a document that could have been clicked at another rank alpha may be anything
        where fits.curvature > 0
    ),

    counts as (
        select
            context,
            replicate,
            rank,
            cast(sum(n_impressions) as bigint) as n_impressions,
            cast(sum(n_clicks) as bigint) as n_clicks
        from replicated
        group by context, replicate, rank
    )

    select
        counts.context,
        counts.replicate,
        counts.rank,
        {{ power_law_propensity('counts.rank', 'alphas.alpha') }} as propensity,
        counts.n_impressions,
        counts.n_clicks,
        alphas.step_change as last_step_change
    from counts
    left join alphas
        on
            counts.context = alphas.context
            and counts.replicate = alphas.replicate
{% endmacro %}
