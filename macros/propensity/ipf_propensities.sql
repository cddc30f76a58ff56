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

    A document is taken anew under every set of serving models (int_position_cells says why). One
    seen at one rank only agrees with any theta, and one never clicked has gamma 0: both
    are left out, which does not move the solution.

    A slot is one unknown theta (context, replicate, rank), an item one unknown gamma (document,
    replicate). Both are dense numbers, because the joins of a step run over millions of rows.
#}
{% macro ipf_propensities(cells, steps) %}
    {% set tolerance = 1e-9 %}
    {% set damping = 0.7 %}
    {# Where clicks have no best fit a theta runs off; beyond these it is only kept countable. #}
    {% set bounds = ('cast(0.000001 as double)', 'cast(1000000 as double)') %}
    with recursive documents as (
        select
            context,
            serving_regime,
            query,
            doc_id,
            row_number() over (order by context, serving_regime, query, doc_id) as document
        from {{ cells }}
        group by context, serving_regime, query, doc_id
        having count(distinct rank) > 1 and sum(n_clicks) > 0
    ),

    informative as (
        select
            cells.context,
            documents.document,
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
        {{ leave_one_group_out('informative', ['context', 'document', 'rank']) | indent(8) }}
    ),

    slots as (
        select
            context,
            replicate,
            rank,
            cast(sum(n_impressions) as bigint) as n_impressions,
            cast(sum(n_clicks) as bigint) as n_clicks,
            row_number() over (order by context, replicate, rank) as slot
        from replicated
        group by context, replicate, rank
    ),

    group_counts as (
        select max(replicate) + 1 as n_replicates
        from slots
    ),

    edges as (
        select
            slots.slot,
            replicated.document * group_counts.n_replicates + replicated.replicate as item,
            cast(replicated.n_impressions as double) as n_impressions,
            cast(replicated.n_clicks as double) as n_clicks
        from replicated
        inner join slots
            on
                replicated.context = slots.context
                and replicated.replicate = slots.replicate
                and replicated.rank = slots.rank
        cross join group_counts
        where replicated.n_impressions > 0
    ),

    -- the recursion ends when no theta of any fit moves any more, or after the given steps
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
                                    {{ exact_sum('expected * (1 - expected / item_clicks)') }}, 0
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
                    gammas.item_clicks,
                    edges.n_impressions * fits.theta * gammas.gamma as expected
                from edges
                inner join fits
                    on edges.slot = fits.slot
                inner join (
                    select
                        edges.item,
                        sum(edges.n_clicks) as item_clicks,
                        sum(edges.n_clicks)
                        / nullif({{ exact_sum('edges.n_impressions * fits.theta') }}, 0) as gamma
                    from edges
                    inner join fits
                        on edges.slot = fits.slot
                    group by edges.item
                    having sum(edges.n_clicks) > 0
                ) as gammas
                    on edges.item = gammas.item
                where fits.is_moving and fits.step < {{ steps }}
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
            slots.replicate,
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
    from thetas
{% endmacro %}
