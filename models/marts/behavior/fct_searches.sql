{{ config(
    materialized='incremental',
    meta={'replaces': {'changed_searches': ['search_id']}},
    pre_hook='{{ record_changed_sessions(this, is_before=true) }}',
    post_hook='{{ record_changed_sessions(this) }}',
) }}

with

searches as (

    select * from {{ ref('int_log_searches') }}

),

activities as (

    select * from {{ ref('int_activities__sessionized') }}
    where
        action_order = 0
        and {{ is_in_changed_session(ref('int_activities__sessionized')) }}

),

verdicts as (

    select * from {{ ref('int_sessions__bot_verdicts') }}

),

impressions as (

    select * from {{ ref('int_log_impressions') }}
    where {{ is_replaced() }}

),

clicked_documents as (

    select * from {{ ref('int_clicked_documents__summarised') }}
    where {{ is_replaced() }}

),

shown as (

    select
        search_id,
        count(*) as n_shown,
        bool_or(is_randomised) as is_randomised
    from impressions
    group by search_id

),

clicked as (

    select
        search_id,
        count(*) as n_clicks,
        max(dwell_seconds) >= {{ var('sat_dwell_seconds') }} as has_sat_click
    from clicked_documents
    group by search_id

),

{#
    The next search of the session, another text within a minute, and nothing satisfied before:
    the searcher tried again in other words.
#}
followed as (

    select
        searches.search_id,
        lead(searches.normalized_query) over session_order as next_query,
        lead(searches.searched_at) over session_order as next_searched_at,
        activities.session_id
    from searches
    inner join activities on searches.search_id = activities.search_id
    window session_order as (
        partition by activities.session_id order by searches.searched_at, searches.search_id
    )

),

final as (

    select
        cast(searches.search_id as string) as search_id,
        cast(followed.session_id as string) as session_id,
        cast(searches.user_id as string) as user_id,
        cast(searches.logged_user_id as string) as logged_user_id,
        cast(searches.application as string) as application,
        cast(searches.source_format as string) as source_format,
        cast(searches.query as string) as query,
        cast(searches.normalized_query as string) as normalized_query,
        cast(searches.device as string) as device,
        cast(searches.user_agent as string) as user_agent,
        cast(searches.ip_hash as string) as ip_hash,
        cast(searches.variant as string) as variant,
        cast(searches.model_version as string) as model_version,
        cast(coalesce(verdicts.bot_reasons, []) as varchar[]) as bot_reasons,
        cast(coalesce(shown.n_shown, 0) as integer) as n_shown,
        cast(coalesce(clicked.n_clicks, 0) as integer) as n_clicks,
        verdicts.session_id is not null as is_bot,
        coalesce(clicked.n_clicks, 0) = 0 as is_abandoned,
        coalesce(
            not coalesce(clicked.has_sat_click, false)
            and followed.next_query <> searches.normalized_query
            and followed.next_searched_at
            <= searches.searched_at + interval '{{ var("reformulation_seconds") }}' second,
            false
        ) as is_reformulated,
        coalesce(shown.is_randomised, false) as is_randomised,
        searches.has_query_row,
        cast(searches.searched_at as timestamp) as searched_at
    from searches
    inner join followed on searches.search_id = followed.search_id
    left join verdicts on followed.session_id = verdicts.session_id
    left join shown on searches.search_id = shown.search_id
    left join clicked on searches.search_id = clicked.search_id
    where {{ is_replaced({'search_id': 'searches.search_id'}) }}

)

select * from final
