with

click_weights as (

    select * from {{ ref('int_click_weights') }}

),

pair_negatives as (

    select * from {{ ref('int_pair_negatives') }}

),

windows as (

    select * from {{ ref('int_windows') }}

),

positives as (

    select
        query,
        doc_id as positive_doc,
        {{ exact_sum('ips_label') }} as weight,
        sum(clicked) as n_clicks
    from click_weights
    where clicked = 1
    group by query, doc_id

),

{# The first draws over all pages are among the first draws of each. #}
drawn as (

    select
        query,
        positive_doc,
        negative_doc,
        row_number() over (
            partition by query, positive_doc
            order by draw, negative_doc
        ) as draw_order
    from pair_negatives
    group by query, positive_doc, negative_doc, draw

),

negatives as (

    select
        query,
        positive_doc,
        array_sort(array_agg(negative_doc)) as negative_docs
    from drawn
    where draw_order <= {{ var('negatives_per_positive') }}
    group by query, positive_doc

),

final as (

    select
        cast(positives.query as string) as query,
        cast(positives.positive_doc as string) as positive_doc,
        cast(positives.weight as double) as weight,
        coalesce(
            negatives.negative_docs, {{ dbt.array_construct([], 'string') }}
        ) as negative_docs,
        cast(positives.n_clicks as bigint) as n_clicks,
        cast(windows.window_start as timestamp) as window_start,
        cast(windows.window_end as timestamp) as window_end
    from positives
    left join negatives
        on
            positives.query = negatives.query
            and positives.positive_doc = negatives.positive_doc
    cross join windows

)

select * from final
