{{ config(
    materialized='incremental',
    meta={'replaces': {'changed_inputs': ['search_key']}},
) }}

with

queries as (

    select * from {{ ref('base_ubi__queries') }}
    where rejection_reason is null and not is_superseded and {{ is_replaced() }}

),

searches_with_query_row as (

    select search_id from {{ ref('base_ubi__queries') }}
    where rejection_reason is null and not is_superseded and {{ is_replaced() }}

),

events as (

    select * from {{ ref('base_ubi__events') }}
    where rejection_reason is null and search_id is not null and {{ is_replaced() }}

),

events_with_text as (

    select * from {{ ref('base_ubi__events') }}
    where
        rejection_reason is null and search_id is not null and query is not null
        and {{ is_replaced() }}

),

{# Without a query row, an event that carries the query's text still names a search. #}
events_without_query as (

    select
        events.*,
        row_number() over (
            partition by events.search_id order by events.event_at, events.event_id
        ) as event_number
    from events_with_text as events
    left join searches_with_query_row as queries on events.search_id = queries.search_id
    where queries.search_id is null

),

searches as (

    select
        search_key, search_id, searched_at, arrived_at, query, application, client_id,
        logged_user_id, logged_session_id, user_agent, ip_hash, device, variant, model_version,
        is_randomised, true as has_query_row
    from queries
    union all
    select
        search_key, search_id, event_at, arrived_at, query, application, client_id,
        logged_user_id, logged_session_id, user_agent, ip_hash, device, cast(null as string),
        cast(null as string), false, false
    from events_without_query
    where event_number = 1

),

{# What the query row leaves out, its events may know. #}
event_facts as (

    select
        search_id,
        min(client_id) as client_id,
        min(logged_user_id) as logged_user_id,
        min(logged_session_id) as logged_session_id,
        min(user_agent) as user_agent,
        min(ip_hash) as ip_hash,
        min(device) as device
    from events
    group by search_id

),

final as (

    select
        searches.search_key,
        searches.search_id,
        searches.searched_at,
        searches.arrived_at,
        searches.query,
        searches.application,
        coalesce(searches.client_id, event_facts.client_id) as client_id,
        coalesce(searches.logged_user_id, event_facts.logged_user_id) as logged_user_id,
        coalesce(searches.logged_session_id, event_facts.logged_session_id) as logged_session_id,
        coalesce(searches.user_agent, event_facts.user_agent) as user_agent,
        coalesce(searches.ip_hash, event_facts.ip_hash) as ip_hash,
        coalesce(searches.device, event_facts.device) as device,
        searches.variant,
        searches.model_version,
        searches.is_randomised,
        searches.has_query_row
    from searches
    left join event_facts on searches.search_id = event_facts.search_id

)

select * from final
