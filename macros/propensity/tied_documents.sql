{#
    Cells of the documents that tie ranks together, counted per group of users. A document seen at
    one rank only agrees with any examination, and one never clicked has no attraction to compare:
    both are left out, which moves no estimate. A document is taken anew under every set of serving
    models (int_position_cells says why), and has a number, because estimators join it in every
    step.
#}
{% macro tied_documents(cells) %}
    with documents as (
        select
            context,
            serving_regime,
            query,
            doc_id,
            min(rank) as top_rank,
            row_number() over (order by context, serving_regime, query, doc_id) as document
        from {{ cells }}
        group by context, serving_regime, query, doc_id
        having min(rank) < max(rank) and sum(n_clicks) > 0
    )

    select
        cells.context,
        documents.document,
        documents.top_rank,
        cells.rank,
        cells.jackknife_group as replicate,
        cast(sum(cells.n_impressions) as bigint) as n_impressions,
        cast(sum(cells.n_clicks) as bigint) as n_clicks
    from {{ cells }} as cells
    inner join documents
        on
            cells.context = documents.context
            and cells.serving_regime = documents.serving_regime
            and cells.query = documents.query
            and cells.doc_id = documents.doc_id
    group by
        cells.context,
        documents.document,
        documents.top_rank,
        cells.rank,
        cells.jackknife_group
{% endmacro %}
