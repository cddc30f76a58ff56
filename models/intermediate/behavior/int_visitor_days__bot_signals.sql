{{ config(
    materialized='incremental',
    incremental_predicates=[
        'exists (select 1 from flywheel_state.changed_visits where visitor = user_id and '
        ~ 'activity_date between cast(range_start as date) and cast(range_end as date))',
    ],
) }}

with

activities as (

    select * from {{ ref('int_activities__sessionized') }}
    where
        action <> 'impression'
        and {{ is_changed_visitor_day('user_id', 'activity_at') | indent(8) }}

),

searches as (

    select * from {{ ref('int_log_searches') }}
    where {{ is_changed_visitor_day('user_id', 'searched_at') | indent(4) }}

),

events as (

    select * from {{ ref('int_log_events') }}
    where {{ is_changed_visitor_day('user_id', 'event_at') | indent(4) }}

),

user_agents as (

    select * from {{ ref('int_user_agents__classified') }}
    where is_bot_user_agent

),

timed as (

    select
        user_id,
        cast(activity_at as date) as activity_date,
        activity_at,
        action,
        search_id,
        {{ epoch_seconds('activity_at') }} as activity_seconds,
        lag({{ epoch_seconds('activity_at') }}) over (
            partition by user_id, cast(activity_at as date)
            order by activity_at, action_order, activity_id
        ) as previous_seconds
    from activities

),

per_minute as (

    select
        user_id,
        activity_date,
        date_trunc('minute', activity_at) as activity_minute,
        count(*) as n_events
    from timed
    group by user_id, activity_date, date_trunc('minute', activity_at)

),

busiest_minutes as (

    select
        user_id,
        activity_date,
        max(n_events) as max_events_per_minute
    from per_minute
    group by user_id, activity_date

),

search_gaps as (

    select
        user_id,
        activity_date,
        search_id,
        activity_seconds - lag(activity_seconds) over (
            partition by user_id, activity_date order by activity_seconds, search_id
        ) as gap_seconds
    from timed
    where action = 'search' and search_id is not null

),

search_signals as (

    select
        search_gaps.user_id,
        search_gaps.activity_date,
        count(*) as n_searches,
        count(distinct searches.normalized_query) as n_distinct_queries,
        {{ in_order('stddev_samp', 'search_gaps.gap_seconds') }}
        / nullif({{ in_order('avg', 'search_gaps.gap_seconds') }}, 0)
            as gap_variation
    from search_gaps
    inner join searches on search_gaps.search_id = searches.search_id
    group by search_gaps.user_id, search_gaps.activity_date

),

click_signals as (

    select
        user_id,
        activity_date,
        count(*) as n_clicks,
        median(activity_seconds - previous_seconds) as median_click_gap_seconds
    from timed
    where action = 'click'
    group by user_id, activity_date

),

{# Any agent that the visitor showed on the day counts, on a search or on an event. #}
agents_shown as (

    select user_id, cast(searched_at as date) as activity_date, user_agent from searches
    union
    select user_id, cast(event_at as date), user_agent from events

),

agent_signals as (

    select distinct
        agents_shown.user_id,
        agents_shown.activity_date
    from agents_shown
    inner join user_agents on agents_shown.user_agent = user_agents.user_agent

),

final as (

    select
        busiest_minutes.user_id,
        busiest_minutes.activity_date,
        coalesce(search_signals.n_searches, 0) as n_searches,
        coalesce(search_signals.n_distinct_queries, 0) as n_distinct_queries,
        search_signals.gap_variation,
        coalesce(click_signals.n_clicks, 0) as n_clicks,
        click_signals.median_click_gap_seconds,
        busiest_minutes.max_events_per_minute,
        agent_signals.user_id is not null as has_bot_user_agent
    from busiest_minutes
    left join search_signals
        on
            busiest_minutes.user_id = search_signals.user_id
            and busiest_minutes.activity_date = search_signals.activity_date
    left join click_signals
        on
            busiest_minutes.user_id = click_signals.user_id
            and busiest_minutes.activity_date = click_signals.activity_date
    left join agent_signals
        on
            busiest_minutes.user_id = agent_signals.user_id
            and busiest_minutes.activity_date = agent_signals.activity_date

)

select * from final
