{{ config(
    materialized='incremental',
    meta={'replaces': {'changed_visits': ['user_id', 'activity_at']}},
    pre_hook='{{ record_changed_visits(this) }}',
    post_hook='{{ record_changed_searches(this) }}',
) }}

with

searches as (

    select * from {{ ref('int_log_searches') }}
    where {{ is_replaced({'activity_at': 'searched_at'}) }}

),

events as (

    select * from {{ ref('int_log_events') }}
    where {{ is_replaced({'activity_at': 'event_at'}) }}

),

activities as (

    select
        user_id,
        searched_at as activity_at,
        0 as action_order,
        'search' as action,
        search_id as activity_id,
        search_id,
        search_key,
        arrived_at
    from searches
    union all
    select
        user_id,
        event_at,
        1,
        action,
        event_id,
        search_id,
        search_key,
        arrived_at
    from events

),

with_previous as (

    select
        *,
        lag(activity_at) over (
            partition by user_id order by activity_at, action_order, activity_id
        ) as previous_at
    from activities

),

with_starts as (

    select
        *,
        case
            when
                previous_at is null
                or activity_at
                > previous_at + interval '{{ var("session_timeout_minutes") }}' minute
                then 1
            else 0
        end as is_start
    from with_previous

),

numbered as (

    select
        *,
        sum(is_start) over (
            partition by user_id
            order by activity_at, action_order, activity_id
            rows between unbounded preceding and current row
        ) as session_number
    from with_starts

),

{#
    The id comes from the session's first search, not from its number or its first event: clicks
    and exits that arrive late rename nothing, a search that arrives late at most its own session.
#}
first_searches as (

    select
        user_id,
        session_number,
        coalesce(
            min_by(activity_id, (activity_at, activity_id))
            filter (where action_order = 0),
            min_by(activity_id, (activity_at, activity_id))
        ) as anchor_id
    from numbered
    group by user_id, session_number

),

final as (

    select
        md5(numbered.user_id || '|' || first_searches.anchor_id) as session_id,
        numbered.user_id,
        numbered.activity_id,
        numbered.action,
        numbered.activity_at,
        numbered.action_order,
        numbered.search_id,
        numbered.search_key,
        numbered.arrived_at
    from numbered
    inner join first_searches
        on
            numbered.user_id = first_searches.user_id
            and numbered.session_number = first_searches.session_number

)

select * from final
