{#
    All that was known before one moment, for the day after the last instant known, as in training:
    a row per query and document, and one per document with a null query for queries it was not
    shown under.
#}
{% macro behavior_snapshot(days, moments) %}
    with known as (
        select
            days.*,
            cast(
                cast(moments.moment - interval '1' microsecond as date) + interval '1' day as date
            ) as day
        from {{ days }} as days
        cross join {{ moments }} as moments
    ),

    pairs as (
        select
            query,
            doc_id,
            {{ behavior_sums() | indent(12) }}
        from known
        group by query, doc_id
    ),

    documents as (
        select
            doc_id,
            max(day) as day,
            {{ behavior_sums() | indent(12) }}
        from known
        group by doc_id
    ),

    overall as (
        select {{ behavior_sums() | indent(12) }}
        from known
    ),

    -- without its query a document has no history of a pair
    told as (
        select * from pairs
        union all
        select
            cast(null as string) as query,
            doc_id,
            null as n_impressions,
            null as exposure,
            null as n_clicks,
            null as n_sat_clicks,
            null as last_shown_on
        from documents
    )

    select
        told.query,
        told.doc_id,
        {{ behavior_features('told', 'documents', 'overall', 'documents.day') | indent(8) }}
    from told
    inner join documents
        on told.doc_id = documents.doc_id
    cross join overall
{% endmacro %}
