{#
    Each document as it is (replicate 0), and as it is without the users of each group that has seen
    it. Without the other groups it is as it is, so that a fit which leaves out a group differs from
    the fit of everything in these versions alone.
#}
{% macro document_versions(by_group) %}
    with totals as (
        select
            context,
            document,
            top_rank,
            rank,
            cast(sum(n_impressions) as bigint) as n_impressions,
            cast(sum(n_clicks) as bigint) as n_clicks
        from {{ by_group }}
        group by context, document, top_rank, rank
    ),

    seen as (
        select distinct
            document,
            replicate
        from {{ by_group }}
    )

    select
        context,
        document,
        top_rank,
        0 as replicate,
        rank,
        n_impressions,
        n_clicks
    from totals

    union all

    select
        totals.context,
        totals.document,
        totals.top_rank,
        seen.replicate,
        totals.rank,
        totals.n_impressions - coalesce(by_group.n_impressions, 0) as n_impressions,
        totals.n_clicks - coalesce(by_group.n_clicks, 0) as n_clicks
    from totals
    inner join seen
        on totals.document = seen.document
    left join {{ by_group }} as by_group
        on
            totals.document = by_group.document
            and totals.rank = by_group.rank
            and seen.replicate = by_group.replicate
{% endmacro %}
