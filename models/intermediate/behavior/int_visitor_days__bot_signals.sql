{{ config(
    materialized='incremental',
    meta={'replaces': {'changed_visitor_days': ['user_id', 'activity_date']}},
) }}

-- noqa: disable=LT02,RF02
with

activities as (

    select * from {{ ref('int_activities__sessionized') }}
    where
        action <> 'impression'
        and {{ is_replaced({'activity_date': 'activity_at'}) }}

),

searches as (

    select * from {{ ref('int_log_searches') }}
    where
        {{ is_replaced({'activity_date': 'searched_at'}) }}
        {%- if is_incremental() %}
            {# An event may speak of a search of another day. #}
            or search_id in (select search_id from activities)
        {%- endif %}

),

events as (

    select * from {{ ref('int_log_events') }}
    where {{ is_replaced({'activity_date': 'event_at'}) }}

),

{# Only what lies beyond the pages that people look at. #}
deep_impressions as (

    select * from {{ ref('int_log_impressions') }}
    where
        rank >= {{ var('bot_deep_rank') }}
        {%- if is_incremental() %}
            and search_id in (select search_id from searches)
        {%- endif %}

),

user_agents as (

    select * from {{ ref('int_user_agents__classified') }}
    where is_bot_user_agent

),

-- noqa: enable=LT02,RF02
{# A flat log may not say when a click happened; its stand-in time tells nothing about pace. #}
timed as (

    select
        activities.user_id,
        cast(activities.activity_at as date) as activity_date,
        activities.activity_at,
        activities.action,
        activities.action_order,
        activities.activity_id,
        activities.search_id,
        events.doc_id,
        events.explicit_dwell_seconds,
        coalesce(events.has_event_time, true) as has_own_time,
        {{ epoch_seconds('activities.activity_at') }} as activity_seconds
    from activities
    left join events
        on activities.activity_id = events.event_id and activities.action_order = 1

),

visitor_days as (

    select
        user_id,
        activity_date,
        count(distinct case when has_own_time then date_trunc('hour', activity_at) end)
            as n_active_hours
    from timed
    group by user_id, activity_date

),

{# A search as you type sends one with every key; only what was typed in the end is a search. #}
typed as (

    select
        timed.user_id,
        timed.activity_date,
        timed.search_id,
        timed.activity_seconds,
        searches.application,
        searches.normalized_query,
        lead(searches.normalized_query) over day_order as next_query,
        lead(timed.activity_seconds) over day_order - timed.activity_seconds as seconds_to_next
    from timed
    inner join searches on timed.search_id = searches.search_id
    where timed.action = 'search'
    window day_order as (
        partition by timed.user_id, timed.activity_date
        order by timed.activity_seconds, timed.search_id
    )

),

finished as (

    select
        *,
        not coalesce(
            seconds_to_next <= {{ var('bot_typing_seconds') }}
            and normalized_query <> ''
            and next_query <> ''
            and normalized_query <> next_query
            and (
                left(next_query, length(normalized_query)) = normalized_query
                or left(normalized_query, length(next_query)) = next_query
            ),
            false
        ) as is_finished
    from typed

),

{# A click and what follows on the document, as into the cart, is one thing done; so is a search
   with its keys and scrolls. #}
per_minute as (

    select
        timed.user_id,
        timed.activity_date,
        date_trunc('minute', timed.activity_at) as activity_minute,
        count(
            distinct coalesce(timed.search_id, timed.activity_id)
            || ' ' || coalesce(timed.doc_id, '')
        ) as n_events
    from timed
    left join finished
        on
            timed.user_id = finished.user_id
            and timed.activity_date = finished.activity_date
            and timed.search_id = finished.search_id
            and timed.doc_id is null
    where timed.has_own_time and coalesce(finished.is_finished, true)
    group by timed.user_id, timed.activity_date, date_trunc('minute', timed.activity_at)

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
        normalized_query,
        activity_seconds - lag(activity_seconds) over (
            partition by user_id, activity_date order by activity_seconds, search_id
        ) as gap_seconds
    from finished
    where is_finished

),

deep_searches as (

    select distinct deep_impressions.search_id
    from deep_impressions
    inner join searches on deep_impressions.search_id = searches.search_id

),

{# A page without a text, as of a category, is no repeated query. #}
search_signals as (

    select
        search_gaps.user_id,
        search_gaps.activity_date,
        count(*) as n_searches,
        count(nullif(search_gaps.normalized_query, '')) as n_text_searches,
        count(distinct nullif(search_gaps.normalized_query, '')) as n_distinct_queries,
        count(deep_searches.search_id) as n_deep_searches,
        {{ in_order('stddev_samp', 'search_gaps.gap_seconds') }}
        / nullif({{ in_order('avg', 'search_gaps.gap_seconds') }}, 0)
            as gap_variation
    from search_gaps
    left join deep_searches on search_gaps.search_id = deep_searches.search_id
    group by search_gaps.user_id, search_gaps.activity_date

),

{# People of one site click more than those of another: a day goes by where most was searched. #}
application_searches as (

    select
        user_id,
        activity_date,
        application,
        row_number() over (
            partition by user_id, activity_date order by count(*) desc, application
        ) as place
    from finished
    where is_finished
    group by user_id, activity_date, application

),

with_neighbours as (

    select
        *,
        case
            when has_own_time then activity_seconds - lag(activity_seconds) over day_order
        end as seconds_before,
        case
            when has_own_time then lead(activity_seconds) over day_order - activity_seconds
        end as seconds_after
    from timed
    window day_order as (
        partition by user_id, activity_date, has_own_time
        order by activity_at, action_order, activity_id
    )

),

clicks as (

    select
        user_id,
        activity_date,
        search_id,
        doc_id,
        seconds_before,
        coalesce(explicit_dwell_seconds, seconds_after) as dwell_seconds,
        row_number() over (
            partition by user_id, activity_date, search_id, doc_id
            order by activity_at, activity_id
        ) as click_of_document
    from with_neighbours
    where action = 'click'

),

{# A double click is one visit: people who click everything twice are not fast. #}
visits as (

    select
        user_id,
        activity_date,
        search_id,
        doc_id,
        count(*) as n_clicks,
        max(case when click_of_document = 1 then seconds_before end) as seconds_before,
        max(dwell_seconds) as dwell_seconds
    from clicks
    group by user_id, activity_date, search_id, doc_id

),

click_signals as (

    select
        user_id,
        activity_date,
        cast(sum(n_clicks) as bigint) as n_clicks,
        count(*) as n_visits,
        count(distinct search_id) as n_clicked_searches,
        median(seconds_before) as median_click_gap_seconds
    from visits
    group by user_id, activity_date

),

visited_documents as (

    select
        user_id,
        activity_date,
        doc_id,
        count(*) as n_visits,
        median(dwell_seconds) as median_dwell_seconds
    from visits
    group by user_id, activity_date, doc_id

),

ranked_documents as (

    select
        *,
        row_number() over (
            partition by user_id, activity_date order by n_visits desc, doc_id
        ) as place
    from visited_documents

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
        visitor_days.user_id,
        visitor_days.activity_date,
        application_searches.application,
        coalesce(search_signals.n_searches, 0) as n_searches,
        coalesce(search_signals.n_text_searches, 0) as n_text_searches,
        coalesce(search_signals.n_distinct_queries, 0) as n_distinct_queries,
        coalesce(search_signals.n_deep_searches, 0) as n_deep_searches,
        search_signals.gap_variation,
        coalesce(click_signals.n_clicks, 0) as n_clicks,
        coalesce(click_signals.n_visits, 0) as n_visits,
        coalesce(click_signals.n_clicked_searches, 0) as n_clicked_searches,
        click_signals.median_click_gap_seconds,
        coalesce(ranked_documents.n_visits, 0) as n_top_document_visits,
        ranked_documents.median_dwell_seconds as top_document_dwell_seconds,
        coalesce(busiest_minutes.max_events_per_minute, 0) as max_events_per_minute,
        visitor_days.n_active_hours,
        agent_signals.user_id is not null as has_bot_user_agent
    from visitor_days
    left join busiest_minutes
        on
            visitor_days.user_id = busiest_minutes.user_id
            and visitor_days.activity_date = busiest_minutes.activity_date
    left join search_signals
        on
            visitor_days.user_id = search_signals.user_id
            and visitor_days.activity_date = search_signals.activity_date
    left join application_searches
        on
            visitor_days.user_id = application_searches.user_id
            and visitor_days.activity_date = application_searches.activity_date
            and application_searches.place = 1
    left join click_signals
        on
            visitor_days.user_id = click_signals.user_id
            and visitor_days.activity_date = click_signals.activity_date
    left join ranked_documents
        on
            visitor_days.user_id = ranked_documents.user_id
            and visitor_days.activity_date = ranked_documents.activity_date
            and ranked_documents.place = 1
    left join agent_signals
        on
            visitor_days.user_id = agent_signals.user_id
            and visitor_days.activity_date = agent_signals.activity_date

)

select * from final
