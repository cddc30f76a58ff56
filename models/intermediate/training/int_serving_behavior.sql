{#
    Two moments: `window_end`, all that a model trained on the window may know when it is
    evaluated, and `latest`, what it is served with. Rows without a query stand for a document
    under a query it was not shown for before.
#}
with events as (
    select * from {{ ref('int_behavior_events') }}
),

windows as (
    select * from {{ ref('int_windows') }}
),

moments as (
    select
        'window_end' as as_of,
        window_end as moment
    from windows
    union all
    select
        'latest' as as_of,
        evaluation_end as moment
    from windows
),

-- the day to be served is the one after the last moment known, as in training
known as (
    select
        moments.as_of,
        cast(
            cast(moments.moment - interval '1' microsecond as date) + interval '1' day as date
        ) as day,
        events.*
    from events
    inner join moments
        on events.happened_at < moments.moment
),

pairs as (
    select
        as_of,
        query,
        doc_id,
        {{ behavior_sums() | indent(8) }}
    from known
    group by as_of, query, doc_id
),

documents as (
    select
        as_of,
        doc_id,
        day,
        {{ behavior_sums() | indent(8) }}
    from known
    group by as_of, doc_id, day
),

overall as (
    select
        as_of,
        {{ behavior_sums() | indent(8) }}
    from known
    group by as_of
),

keys as (
    select
        as_of,
        query,
        doc_id
    from pairs
    union all
    select
        as_of,
        cast(null as string) as query,
        doc_id
    from documents
)

select
    keys.as_of,
    keys.query,
    keys.doc_id,
    {{ behavior_features('pairs', 'documents', 'overall', 'documents.day') | indent(4) }}
from keys
inner join documents
    on
        keys.as_of = documents.as_of
        and keys.doc_id = documents.doc_id
inner join overall
    on keys.as_of = overall.as_of
left join pairs
    on
        keys.as_of = pairs.as_of
        and keys.query = pairs.query
        and keys.doc_id = pairs.doc_id
