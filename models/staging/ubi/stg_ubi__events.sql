{{ config(materialized='view') }}

with

events as (

    select * from {{ ref('base_ubi__events') }}
    where rejection_reason is null

),

queries as (

    select * from {{ ref('base_ubi__queries') }}
    where rejection_reason is null and not is_superseded

),

final as (

    select
        events.source_file,
        events.row_number,
        events.event_id,
        events.search_key,
        events.search_id,
        events.action,
        events.event_at,
        events.arrived_at,
        events.application,
        events.client_id,
        events.logged_user_id,
        events.logged_session_id,
        events.user_agent,
        events.doc_id,
        events.ordinal,
        {{ list_position('queries.hit_ids', 'events.doc_id') }} as list_rank,
        events.explicit_dwell_seconds
    from events
    left join queries on events.search_id = queries.search_id

)

select * from final
