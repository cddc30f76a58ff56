{{ config(
    materialized='incremental',
    meta={'replaces': {'changed_searches': ['search_id']}},
) }}

with

events as (

    select * from {{ ref('int_log_events') }}
    where {{ is_replaced() }}

),

activities as (

    select * from {{ ref('int_activities__sessionized') }}
    where {{ is_in_changed_session(ref('int_activities__sessionized')) }}

),

clicks as (

    select
        events.event_id,
        events.search_id,
        events.doc_id,
        events.event_at as clicked_at,
        events.has_event_time,
        events.explicit_dwell_seconds,
        activities.session_id
    from events
    inner join activities
        on
            events.user_id = activities.user_id
            and events.event_id = activities.activity_id
            and activities.action_order = 1
    where events.action = 'click' and events.search_id is not null

),

exits as (

    select
        search_id,
        doc_id,
        event_id,
        event_at,
        explicit_dwell_seconds
    from events
    where action = 'page_exit' and search_id is not null

),

{# The exit that belongs to a click is the first one after it on the same document. #}
exit_candidates as (

    select
        clicks.event_id,
        exits.event_at as exited_at,
        exits.explicit_dwell_seconds as exit_dwell_seconds,
        row_number() over (
            partition by clicks.event_id order by exits.event_at, exits.event_id
        ) as candidate
    from clicks
    inner join exits
        on
            clicks.search_id = exits.search_id
            and clicks.doc_id = coalesce(exits.doc_id, clicks.doc_id)
            and exits.event_at >= clicks.clicked_at

),

{# A repeated click on the document, or a search result coming into view, ends no visit. #}
next_activities as (

    select
        activities.session_id,
        activities.activity_id,
        lead(activities.activity_at) over (
            partition by activities.session_id
            order by activities.activity_at, activities.action_order, activities.activity_id
        ) as next_activity_at
    from activities
    where activities.action <> 'impression'

),

resolved as (

    select
        clicks.*,
        case
            when clicks.explicit_dwell_seconds is not null then clicks.explicit_dwell_seconds
            when exit_candidates.exit_dwell_seconds is not null
                then exit_candidates.exit_dwell_seconds
            when exit_candidates.exited_at is not null
                then
                    {{ epoch_seconds('exit_candidates.exited_at') }}
                    - {{ epoch_seconds('clicks.clicked_at') }}
            when clicks.has_event_time
                then
                    {{ epoch_seconds('next_activities.next_activity_at') }}
                    - {{ epoch_seconds('clicks.clicked_at') }}
        end as dwell_seconds,
        case
            when clicks.explicit_dwell_seconds is not null then 'explicit'
            when exit_candidates.exit_dwell_seconds is not null then 'explicit'
            when exit_candidates.exited_at is not null then 'page_exit'
            when clicks.has_event_time and next_activities.next_activity_at is not null
                then 'next_event'
            else 'censored'
        end as dwell_source
    from clicks
    left join exit_candidates
        on clicks.event_id = exit_candidates.event_id and exit_candidates.candidate = 1
    left join next_activities
        on
            clicks.session_id = next_activities.session_id
            and clicks.event_id = next_activities.activity_id

),

final as (

    select
        event_id,
        session_id,
        search_id,
        doc_id,
        clicked_at,
        dwell_seconds,
        dwell_source,
        row_number() over (
            partition by search_id order by clicked_at, event_id
        ) as click_number,
        row_number() over (
            partition by search_id order by clicked_at desc, event_id desc
        ) as clicks_from_last,
        {# Read backwards: the last other document clicked later in the same search. #}
        max(clicked_at) over (partition by search_id) as last_clicked_at
    from resolved

)

select * from final
