{{ config(
    materialized='incremental',
    meta={'replaces': {'changed_sessions': ['session_id']}},
) }}

with

activities as (

    select * from {{ ref('int_activities__sessionized') }}
    where {{ is_replaced() }}

),

searches as (

    select * from {{ ref('fct_searches') }}
    where {{ is_replaced() }}

),

clicked_documents as (

    select clicked_documents.*
    from {{ ref('int_clicked_documents__summarised') }} as clicked_documents
    inner join searches on clicked_documents.search_id = searches.search_id

),

spans as (

    select
        session_id,
        min(activity_at) as started_at,
        max(activity_at) as ended_at,
        count(*) as n_activities
    from activities
    where action <> 'impression'
    group by session_id

),

clicked as (

    select
        search_id,
        count(case when dwell_seconds >= {{ var('sat_dwell_seconds') }} then 1 end)
            as n_sat_clicks,
        count(case when is_dwell_censored then 1 end) as n_censored_clicks
    from clicked_documents
    group by search_id

),

summarised as (

    select
        searches.session_id,
        min(searches.user_id) as user_id,
        min_by(searches.application, (searches.searched_at, searches.search_id)) as application,
        min_by(searches.device, (searches.searched_at, searches.search_id)) as device,
        min_by(searches.variant, (searches.searched_at, searches.search_id)) as variant,
        min_by(searches.bot_reasons, (searches.searched_at, searches.search_id)) as bot_reasons,
        bool_or(searches.is_bot) as is_bot,
        count(*) as n_searches,
        sum(searches.n_clicks) as n_clicks,
        sum(coalesce(clicked.n_sat_clicks, 0)) as n_sat_clicks,
        sum(coalesce(clicked.n_censored_clicks, 0)) as n_censored_clicks
    from searches
    left join clicked on searches.search_id = clicked.search_id
    group by searches.session_id

),

final as (

    select
        cast(summarised.session_id as string) as session_id,
        cast(summarised.user_id as string) as user_id,
        cast(summarised.application as string) as application,
        cast(summarised.device as string) as device,
        cast(summarised.variant as string) as variant,
        cast(summarised.bot_reasons as varchar[]) as bot_reasons,
        cast(summarised.n_searches as integer) as n_searches,
        cast(summarised.n_clicks as integer) as n_clicks,
        cast(summarised.n_sat_clicks as integer) as n_sat_clicks,
        cast(summarised.n_censored_clicks as integer) as n_censored_clicks,
        summarised.n_sat_clicks
        {{ '+ summarised.n_censored_clicks' if var('censored_click_is_sat') }} > 0 as is_success,
        summarised.n_sat_clicks + summarised.n_censored_clicks > 0 as is_success_with_censored,
        spans.n_activities = 1 as is_bounce,
        summarised.n_clicks = 0 as is_abandoned,
        summarised.is_bot,
        cast(spans.started_at as timestamp) as started_at,
        cast(spans.ended_at as timestamp) as ended_at
    from summarised
    inner join spans on summarised.session_id = spans.session_id

)

select * from final
