{#
    The interventional Poisson fit: clicks of document d at rank k are taken as
    Poisson(impressions * theta_k * gamma_d), whose likelihood equations are

        gamma_d = clicks of d / sum over its ranks of impressions * theta_k
        theta_k = clicks at k / sum over its documents of impressions * gamma_d

    Applying the two in turn (iterative proportional fitting) reaches their solution, but crawls
    where a document stands nearly always at one rank, as in every log of one ranker with a little
    randomised traffic: such a document mostly confirms the theta it was given. So the step for
    theta is Newton's, with the Hessian's diagonal, which counts only what a document says about
    one rank against its others; damped, since ranks move together. The solution is the same (the
    step is zero exactly where both equations hold) and 20 steps do what took 400.

    Everything is fitted once, to six digits. One whole Newton step from there is the estimate, and
    one without a group of users is the estimate without them, which is near: with gamma at its
    best for any theta,

        slope of log theta_k = clicks at k - expected at k
        information of k and l = (expected at k, where k = l)
                                 - sum over documents of expected at k * expected at l / clicks

    Only documents that the group has seen differ, so only they are counted again, and the step
    is the solution of as many equations as there are ranks. It is taken as a factor 1 + step and
    not as exp(step): at a given gamma the former is clicks / expected, which is the solution. What
    is left is the square of a step that is a fraction of the standard error: thousandths of it.
#}
{% macro estimators__ipf(ties, versions) %}
    {% set tolerance = 1e-6 %}
    {% set damping = 0.7 %}
    {# Where clicks have no best fit a theta runs off; beyond these it is only kept countable. #}
    {% set bounds = ('cast(0.000001 as double)', 'cast(1000000 as double)') %}
    with recursive totals as (
        select *
        from {{ versions }} as versions
        where replicate = 0
    ),

    -- a slot is one unknown theta: a dense number, because the joins of a step run over all rows
    slots as (
        select
            context,
            rank,
            cast(sum(n_impressions) as bigint) as n_impressions,
            cast(sum(n_clicks) as bigint) as n_clicks,
            row_number() over (order by context, rank) as slot
        from totals
        group by context, rank
    ),

    edges as (
        select
            slots.slot,
            totals.document,
            cast(totals.n_impressions as double) as n_impressions,
            cast(totals.n_clicks as double) as n_clicks
        from totals
        inner join slots
            on
                totals.context = slots.context
                and totals.rank = slots.rank
    ),

    -- the recursion ends when no theta of any context moves any more, or after the given steps
    fits as (
        select
            slot,
            0 as step,
            cast(1 as double) as theta,
            cast(1 as double) as step_change,
            true as is_moving
        from slots

        union all

        select
            updated.slot,
            updated.step,
            -- only theta is bounded, not its step: a fit that leans on a bound never comes to rest
            case
                when updated.theta = 0 then 0
                else greatest({{ bounds[0] }}, least({{ bounds[1] }}, updated.theta))
            end as theta,
            abs(coalesce(updated.theta / nullif(updated.previous_theta, 0) - 1, 0)) as step_change,
            bool_or(
                abs(coalesce(updated.theta / nullif(updated.previous_theta, 0) - 1, 0))
                > {{ tolerance }}
            ) over () as is_moving
        from (
            select
                slot,
                max(step) + 1 as step,
                max(theta) as previous_theta,
                case
                    when sum(n_clicks) = 0 then 0
                    else
                        max(theta) * coalesce(
                            exp(greatest(-1, least(1,
                                {{ damping }} * (sum(n_clicks) - {{ exact_sum('expected') }})
                                / nullif(
                                    {{ exact_sum('expected * (1 - expected / document_clicks)') }},
                                    0
                                )
                            ))),
                            sum(n_clicks) / nullif({{ exact_sum('expected') }}, 0)
                        )
                end as theta
            from (
                select
                    edges.slot,
                    edges.n_clicks,
                    fits.step,
                    fits.theta,
                    gammas.document_clicks,
                    edges.n_impressions * fits.theta * gammas.gamma as expected
                from edges
                inner join fits
                    on edges.slot = fits.slot
                inner join (
                    select
                        edges.document,
                        sum(edges.n_clicks) as document_clicks,
                        sum(edges.n_clicks)
                        / nullif({{ exact_sum('edges.n_impressions * fits.theta') }}, 0) as gamma
                    from edges
                    inner join fits
                        on edges.slot = fits.slot
                    group by edges.document
                ) as gammas
                    on edges.document = gammas.document
                where fits.is_moving and fits.step < {{ var('ipf_steps') }}
            ) as expectations
            group by slot
        ) as updated
    ),

    last_steps as (
        select max(step) as step
        from fits
    ),

    thetas as (
        select
            slots.context,
            slots.rank,
            slots.n_impressions,
            slots.n_clicks,
            fits.theta,
            fits.step_change
        from fits
        inner join last_steps
            on fits.step = last_steps.step
        inner join slots
            on fits.slot = slots.slot
    ),

    -- a group without users would repeat the estimate and make its error look smaller
    replicates as (
        select distinct
            context,
            replicate
        from {{ versions }} as versions
    ),

    seen as (
        select distinct
            document,
            replicate
        from {{ ties }} as by_group
    ),

    exposures as (
        select
            versions.context,
            versions.document,
            versions.replicate,
            versions.rank,
            versions.n_clicks,
            versions.n_impressions * thetas.theta as exposure
        from {{ versions }} as versions
        inner join thetas
            on
                versions.context = thetas.context
                and versions.rank = thetas.rank
    ),

    exposed as (
        select
            document,
            replicate,
            cast(sum(n_clicks) as double) as n_clicks,
            {{ exact_sum('exposure') }} as exposure
        from exposures
        group by document, replicate
    ),

    expectations as (
        select
            exposures.context,
            exposures.document,
            exposures.replicate,
            exposures.rank,
            exposures.n_clicks,
            exposed.n_clicks as document_clicks,
            exposures.exposure * exposed.n_clicks / exposed.exposure as expected
        from exposures
        inner join exposed
            on
                exposures.document = exposed.document
                and exposures.replicate = exposed.replicate
        where exposed.n_clicks > 0 and exposed.exposure > 0
    ),

    -- rank 0 as the second one stands for the slope
    terms as (
        select
            context,
            document,
            replicate,
            rank,
            0 as other_rank,
            n_clicks - expected as term
        from expectations

        union all

        select
            expectations.context,
            expectations.document,
            expectations.replicate,
            expectations.rank,
            others.rank as other_rank,
            case when expectations.rank = others.rank then expectations.expected else 0 end
            - expectations.expected * others.expected / expectations.document_clicks as term
        from expectations
        inner join expectations as others
            on
                expectations.document = others.document
                and expectations.replicate = others.replicate
    ),

    of_everything as (
        select
            context,
            rank,
            other_rank,
            {{ exact_sum('term') }} as term
        from terms
        where replicate = 0
        group by context, rank, other_rank
    ),

    -- a document that nobody else has seen is only taken away
    changes as (
        select
            context,
            replicate,
            rank,
            other_rank,
            {{ exact_sum('term') }} as term
        from (
            select
                context,
                replicate,
                rank,
                other_rank,
                term
            from terms
            where replicate > 0

            union all

            select
                terms.context,
                seen.replicate,
                terms.rank,
                terms.other_rank,
                -terms.term as term
            from terms
            inner join seen
                on terms.document = seen.document
            where terms.replicate = 0
        ) as before_and_after
        group by context, replicate, rank, other_rank
    ),

    systems as (
        select
            of_everything.context,
            replicates.replicate,
            of_everything.rank,
            of_everything.other_rank,
            of_everything.term + coalesce(changes.term, 0) as term
        from of_everything
        inner join replicates
            on of_everything.context = replicates.context
        left join changes
            on
                replicates.context = changes.context
                and replicates.replicate = changes.replicate
                and of_everything.rank = changes.rank
                and of_everything.other_rank = changes.other_rank
    ),

    moves as (
        {{ solve_systems('systems') | indent(8) }}
    ),

    group_counts as (
        select
            context,
            replicate,
            rank,
            cast(sum(n_impressions) as bigint) as n_impressions,
            cast(sum(n_clicks) as bigint) as n_clicks
        from {{ ties }} as by_group
        group by context, replicate, rank
    ),

    all_thetas as (
        select
            thetas.context,
            replicates.replicate,
            thetas.rank,
            thetas.n_impressions - coalesce(group_counts.n_impressions, 0) as n_impressions,
            thetas.n_clicks - coalesce(group_counts.n_clicks, 0) as n_clicks,
            -- no step leads to the 0 that fits a rank without a click
            case
                when thetas.n_clicks = coalesce(group_counts.n_clicks, 0) then 0
                else thetas.theta * greatest(0.000001, 1 + coalesce(moves.solution, 0))
            end as theta,
            thetas.step_change
        from thetas
        inner join replicates
            on thetas.context = replicates.context
        left join group_counts
            on
                thetas.context = group_counts.context
                and replicates.replicate = group_counts.replicate
                and thetas.rank = group_counts.rank
        left join moves
            on
                thetas.context = moves.context
                and replicates.replicate = moves.replicate
                and thetas.rank = moves.rank
    )

    -- only ratios are identified, so rank 1 of the same fit is the unit
    select
        context,
        replicate,
        rank,
        theta / nullif(
            max(case when rank = 1 then theta end) over (partition by context, replicate), 0
        ) as propensity,
        n_impressions,
        n_clicks,
        step_change as last_step_change
    from all_thetas
{% endmacro %}
