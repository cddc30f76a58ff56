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

    Alpha is fitted once. Without a group of users it is one Newton step away from there, and only
    documents that the group has seen are counted again, as in estimators__ipf.

    Ranks are counted from the document's topmost one, which changes neither slope nor curvature,
    but keeps the weights of deep ranks from vanishing among the decimals of exact_sum.
#}
{% macro estimators__fitted_power_law(ties, versions) %}
    {% set steps = 30 %}
    {% set tolerance = 1e-9 %}
    {# Where all clicks lie at the top alpha runs off; beyond these it is only kept countable. #}
    {% set bounds = ('cast(-5 as double)', 'cast(5 as double)') %}
    {% set weight = 'telling.n_impressions * exp(-fits.alpha * telling.log_rank)' %}
    {% set version_weight = 'edges.n_impressions * exp(-alphas.alpha * edges.log_rank)' %}
    with recursive by_group_and_rank as (
        select
            context,
            rank,
            replicate as jackknife_group,
            n_impressions,
            n_clicks
        from {{ ties }} as by_group
    ),

    slots as (
        select
            context,
            row_number() over (order by context) as slot
        from {{ versions }} as versions
        group by context
    ),

    edges as (
        select
            slots.slot,
            versions.document,
            versions.replicate,
            ln(cast(versions.rank as double) / versions.top_rank) as log_rank,
            cast(versions.n_impressions as double) as n_impressions,
            cast(versions.n_clicks as double) as n_clicks
        from {{ versions }} as versions
        inner join slots
            on versions.context = slots.context
        where versions.n_impressions > 0
    ),

    observed as (
        select
            slot,
            document,
            replicate,
            sum(n_clicks) as n_clicks,
            {{ exact_sum('n_clicks * log_rank') }} as log_rank_of_clicks
        from edges
        group by slot, document, replicate
    ),

    observed_in_all as (
        select
            slot,
            {{ exact_sum('log_rank_of_clicks') }} as log_rank_of_clicks
        from observed
        where replicate = 0
        group by slot
    ),

    telling as (
        select
            edges.slot,
            edges.document,
            edges.log_rank,
            edges.n_impressions,
            observed.n_clicks as document_clicks
        from edges
        inner join observed
            on
                edges.document = observed.document
                and edges.replicate = observed.replicate
        where edges.replicate = 0
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
                        - max(observed_in_all.log_rank_of_clicks)
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
            inner join observed_in_all
                on expectations.slot = observed_in_all.slot
            group by expectations.slot
        ) as updated
    ),

    last_steps as (
        select max(step) as step
        from fits
    ),

    alphas as (
        select
            fits.slot,
            fits.alpha,
            fits.step_change
        from fits
        inner join last_steps
            on fits.step = last_steps.step
        -- without a document that could have been clicked at another rank alpha may be anything
        where fits.curvature > 0
    ),

    sums as (
        select
            edges.slot,
            edges.document,
            edges.replicate,
            {{ exact_sum(version_weight) }} as weight,
            {{ exact_sum(version_weight ~ ' * edges.log_rank') }} as weighted_log_rank,
            {{ exact_sum(version_weight ~ ' * edges.log_rank * edges.log_rank') }}
                as weighted_square
        from edges
        inner join alphas
            on edges.slot = alphas.slot
        group by edges.slot, edges.document, edges.replicate
    ),

    terms as (
        select
            sums.slot,
            sums.document,
            sums.replicate,
            observed.n_clicks * sums.weighted_log_rank / sums.weight
            - observed.log_rank_of_clicks as slope,
            observed.n_clicks * greatest(
                sums.weighted_square / sums.weight
                - power(sums.weighted_log_rank / sums.weight, 2),
                0
            ) as curvature
        from sums
        inner join observed
            on
                sums.document = observed.document
                and sums.replicate = observed.replicate
    ),

    of_everything as (
        select
            slot,
            {{ exact_sum('slope') }} as slope,
            {{ exact_sum('curvature') }} as curvature
        from terms
        where replicate = 0
        group by slot
    ),

    seen as (
        select distinct
            document,
            replicate
        from {{ ties }} as by_group
    ),

    -- a document that nobody else has seen is only taken away
    changes as (
        select
            slot,
            replicate,
            {{ exact_sum('slope') }} as slope,
            {{ exact_sum('curvature') }} as curvature
        from (
            select
                slot,
                replicate,
                slope,
                curvature
            from terms
            where replicate > 0

            union all

            select
                terms.slot,
                seen.replicate,
                -terms.slope as slope,
                -terms.curvature as curvature
            from terms
            inner join seen
                on terms.document = seen.document
            where terms.replicate = 0
        ) as before_and_after
        group by slot, replicate
    ),

    all_alphas as (
        select
            slot,
            0 as replicate,
            alpha,
            step_change
        from alphas

        union all

        select
            alphas.slot,
            changes.replicate,
            alphas.alpha
            + (of_everything.slope + changes.slope)
            / (of_everything.curvature + changes.curvature) as alpha,
            alphas.step_change
        from alphas
        inner join of_everything
            on alphas.slot = of_everything.slot
        inner join changes
            on alphas.slot = changes.slot
        where of_everything.curvature + changes.curvature > 0
    ),

    counts as (
        {{ leave_one_group_out('by_group_and_rank', ['context', 'rank']) | indent(8) }}
    )

    select
        counts.context,
        counts.replicate,
        counts.rank,
        {{ power_law_propensity('counts.rank', 'all_alphas.alpha') }} as propensity,
        counts.n_impressions,
        counts.n_clicks,
        all_alphas.step_change as last_step_change
    from counts
    inner join slots
        on counts.context = slots.context
    left join all_alphas
        on
            slots.slot = all_alphas.slot
            and counts.replicate = all_alphas.replicate
{% endmacro %}
