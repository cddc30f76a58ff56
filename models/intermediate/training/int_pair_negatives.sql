{#
    Any other document shown for the query may be a negative, clicked ones included: leaving those
    out would make a document's penalty depend on its own clicks, and the sum over clicks would no
    longer be the inverse-propensity estimate of the ranking loss.
#}
with click_weights as (
    select * from {{ ref('int_click_weights') }}
),

documents as (
    select
        query,
        doc_id,
        max(clicked) as is_clicked
    from click_weights
    group by query, doc_id
),

candidates as (
    select
        positives.query,
        positives.doc_id as positive_doc,
        others.doc_id as negative_doc,
        md5(positives.query || '|' || positives.doc_id || '|' || others.doc_id) as draw
    from documents as positives
    inner join documents as others
        on
            positives.query = others.query
            and positives.doc_id <> others.doc_id
    where positives.is_clicked = 1
),

-- a draw by hash: the same log gives the same sample on every machine and engine
drawn as (
    select
        *,
        row_number() over (
            partition by query, positive_doc
            order by draw, negative_doc
        ) as draw_order
    from candidates
)

select
    query,
    positive_doc,
    negative_doc
from drawn
where draw_order <= {{ var('negatives_per_positive') }}
