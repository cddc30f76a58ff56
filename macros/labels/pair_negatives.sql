{#
    A click teaches only against what was shown beside it: nobody passed over a document that was
    not on the page. Any other document of the page may be a negative, clicked ones included:
    leaving those out would make a document's penalty depend on its own clicks, and the sum over
    clicks would no longer be the inverse-propensity estimate of the ranking loss.
#}
{% macro pair_negatives(clicks, click_weights) %}
    -- one search stands for all that showed the same documents
    with pages as (
        select
            query,
            doc_id as positive_doc,
            page_id,
            min(search_id) as search_id
        from {{ clicks }}
        group by query, doc_id, page_id
    ),

    candidates as (
        select
            pages.query,
            pages.positive_doc,
            pages.page_id,
            shown.doc_id as negative_doc,
            md5(pages.query || '|' || pages.positive_doc || '|' || shown.doc_id) as draw
        from pages
        inner join {{ click_weights }} as shown
            on
                pages.search_id = shown.search_id
                and pages.positive_doc <> shown.doc_id
    ),

    -- a draw by hash: the same log gives the same sample on every machine and engine
    drawn as (
        select
            *,
            row_number() over (
                partition by query, positive_doc, page_id
                order by draw, negative_doc
            ) as draw_order
        from candidates
    )

    select
        query,
        positive_doc,
        page_id,
        negative_doc,
        draw
    from drawn
    where draw_order <= {{ var('negatives_per_positive') }}
{% endmacro %}
