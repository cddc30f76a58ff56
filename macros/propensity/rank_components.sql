{#
    Two ranks are tied together when documents shown at both were clicked at both. Labels spread
    along those ties, the smallest winning, until nothing changes: ranks with the same label form
    one component, and propensities are comparable inside a component only.
#}
{% macro rank_components(cells, min_clicks) %}
    with recursive tied as (
        {{ tied_documents(cells) | indent(8) }}
    ),

    counts as (
        select
            context,
            document,
            rank,
            sum(n_clicks) as n_clicks
        from tied
        group by context, document, rank
    ),

    ranks as (
        select distinct
            context,
            rank
        from {{ cells }}
    ),

    ties as (
        select
            here.context,
            here.rank,
            there.rank as other_rank
        from counts as here
        inner join counts as there
            on
                here.document = there.document
                and here.rank <> there.rank
        group by here.context, here.rank, there.rank
        having sum(here.n_clicks) >= {{ min_clicks }} and sum(there.n_clicks) >= {{ min_clicks }}
        union all
        select
            context,
            rank,
            rank as other_rank
        from ranks
    ),

    labels as (
        select
            context,
            rank,
            rank as component,
            0 as step,
            true as is_moving
        from ranks

        union all

        select
            spread.context,
            spread.rank,
            spread.component,
            spread.step,
            bool_or(spread.component < spread.last_component)
                over (partition by spread.context) as is_moving
        from (
            select
                ties.context,
                ties.rank,
                min(labels.component) as component,
                max(case when labels.rank = ties.rank then labels.component end) as last_component,
                max(labels.step) + 1 as step
            from ties
            inner join labels
                on
                    ties.context = labels.context
                    and ties.other_rank = labels.rank
            where labels.is_moving
            group by ties.context, ties.rank
        ) as spread
    )

    select
        context,
        rank,
        min(component) as component
    from labels
    group by context, rank
{% endmacro %}
