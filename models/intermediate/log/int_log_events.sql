{{ config(materialized='view') }}

with

events as (

    select * from {{ ref('int_events__judged') }}
    where rejection_reason is null

),

final as (

    select
        event_id,
        search_key,
        search_id,
        user_id,
        action,
        event_at,
        arrived_at,
        has_event_time,
        doc_id,
        rank,
        explicit_dwell_seconds,
        user_agent
    from events

)

select * from final
