{{ config(
    materialized='incremental',
    meta={'replaces': {'changed_searches': ['search_id']}},
) }}

with

clicks as (

    select * from {{ ref('int_clicks__dwell') }}
    where {{ is_replaced() }}

),

searched as (

    select
        search_id,
        doc_id,
        max(clicked_at) as last_clicked_at
    from clicks
    group by search_id, doc_id

),

{# A short visit is pogo-sticking only if another result of the search was clicked after it. #}
later_clicks as (

    select
        clicks.event_id,
        count(*) as n_later_documents
    from clicks
    inner join searched
        on
            clicks.search_id = searched.search_id
            and clicks.doc_id <> searched.doc_id
            and searched.last_clicked_at > clicks.clicked_at
    group by clicks.event_id

),

summarised as (

    select
        clicks.search_id,
        clicks.doc_id,
        count(*) as n_click_events,
        min(clicks.clicked_at) as clicked_at,
        max(clicks.dwell_seconds) as longest_dwell_seconds,
        max_by(clicks.dwell_source, (clicks.clicked_at, clicks.event_id)) as last_dwell_source,
        bool_or(clicks.clicks_from_last = 1) as is_last_click,
        bool_or(
            coalesce(clicks.dwell_seconds < {{ var('pogo_dwell_seconds') }}, false)
            and later_clicks.event_id is not null
        ) as is_pogo
    from clicks
    left join later_clicks on clicks.event_id = later_clicks.event_id
    group by clicks.search_id, clicks.doc_id

),

{# If the last visit's end is unknown, a shorter earlier one does not speak for the document. #}
final as (

    select
        search_id,
        doc_id,
        n_click_events,
        clicked_at,
        case
            when
                last_dwell_source = 'censored'
                and coalesce(longest_dwell_seconds, 0) < {{ var('sat_dwell_seconds') }}
                then null
            else longest_dwell_seconds
        end as dwell_seconds,
        (
            last_dwell_source = 'censored'
            and coalesce(longest_dwell_seconds, 0) < {{ var('sat_dwell_seconds') }}
        ) as is_dwell_censored,
        is_last_click,
        is_pogo and coalesce(longest_dwell_seconds, 0) < {{ var('sat_dwell_seconds') }} as is_pogo
    from summarised

)

select * from final
