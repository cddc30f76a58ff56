{% set prior = var('behavior_prior_impressions') %}

with click_weights as (
    select * from {{ ref('int_click_weights') }}
),

windows as (
    select * from {{ ref('int_windows') }}
),

-- a ratio of sums: dividing each click by its own propensity and averaging has the same
-- expectation and more variance
documents as (
    select
        query,
        doc_id,
        count(*) as n_impressions,
        sum(clicked) as n_clicks,
        {{ exact_sum('propensity') }} as exposure,
        sum(case when is_sat_click then 1 else 0 end) as n_sat_clicks,
        sum(case when is_last_click then 1 else 0 end) as n_last_clicks,
        sum(case when is_pogo then 1 else 0 end) as n_pogo_clicks,
        sum(case when is_converted then 1 else 0 end) as n_conversions
    from click_weights
    group by query, doc_id
),

overall as (
    select cast(sum(n_clicks) as double) / nullif({{ exact_sum('exposure') }}, 0) as click_rate
    from documents
),

queries as (
    select
        documents.query,
        {{ shrunk_rate(
            'sum(documents.n_clicks)',
            exact_sum('documents.exposure'),
            'max(overall.click_rate)',
            prior
        ) }} as click_rate
    from documents
    cross join overall
    group by documents.query
)

select
    cast(documents.query as string) as query,
    cast(documents.doc_id as string) as doc_id,
    cast(windows.window_start as timestamp) as window_start,
    cast(windows.window_end as timestamp) as window_end,
    cast({{ shrunk_rate(
        'documents.n_clicks', 'documents.exposure', 'queries.click_rate', prior
    ) }} as double) as label,
    cast(documents.exposure as double) as weight,
    cast(
        '{"clicks": ' || cast(documents.n_clicks as string)
        || ', "sat_clicks": ' || cast(documents.n_sat_clicks as string)
        || ', "last_clicks": ' || cast(documents.n_last_clicks as string)
        || ', "pogo_clicks": ' || cast(documents.n_pogo_clicks as string)
        || ', "conversions": ' || cast(documents.n_conversions as string) || '}'
        as string
    ) as votes,
    cast(cast(documents.n_clicks as double) / documents.n_impressions as double) as naive_ctr,
    cast(documents.n_clicks / documents.exposure as double) as ips_ctr,
    cast(documents.n_impressions as bigint) as n_impressions,
    cast(documents.n_clicks as bigint) as n_clicks
from documents
inner join queries
    on documents.query = queries.query
cross join windows
