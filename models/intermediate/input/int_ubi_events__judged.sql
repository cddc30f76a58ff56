with

events as (

    select * from {{ ref('stg_ubi__events') }}
    where {{ is_replaced() }}

),

searches as (

    select * from {{ ref('int_ubi_searches__resolved') }}
    where {{ is_replaced() }}

),

hits as (

    select * from {{ ref('int_ubi_hits__unnested') }}
    where {{ is_replaced() }}

),

conventions as (

    select * from {{ ref('int_applications__conventions') }}
    where source_format = 'ubi'

),

placed as (

    select
        events.*,
        searches.search_id is not null as has_search,
        searches.searched_at,
        hits.hit_rank,
        case
            when events.ordinal >= 0 then events.ordinal + 1 - conventions.rank_base
        end as logged_rank,
        conventions.impression_source
    from events
    left join conventions on events.application = conventions.application
    left join searches on events.search_id = searches.search_id
    left join hits
        on events.search_id = hits.search_id and events.doc_id = hits.doc_id

),

final as (

    select
        document_id,
        event_id,
        search_key,
        search_id,
        has_search,
        action,
        event_at,
        arrived_at,
        application,
        client_id,
        logged_user_id,
        logged_session_id,
        user_agent,
        doc_id,
        {# Where the hit list is the denominator it also says the rank. #}
        cast(case
            when impression_source = 'hit_list' then coalesce(hit_rank, logged_rank)
            else coalesce(logged_rank, hit_rank)
        end as bigint) as rank,
        explicit_dwell_seconds,
        case
            when rejection_reason is not null then rejection_reason
            when action not in ('click', 'impression') then null
            when not has_search then 'orphan_event'
            when ordinal < -1 then 'impossible_rank'
            when logged_rank < 1 or logged_rank > {{ var('max_rank') }} then 'impossible_rank'
            when coalesce(logged_rank, hit_rank) is null then 'missing_rank'
            when
                action = 'click'
                and (
                    event_at < searched_at - interval '{{ var("clock_skew_seconds") }}' second
                    or event_at
                    > searched_at + interval '{{ var("attribution_minutes") }}' minute
                )
                then 'click_outside_attribution'
        end as rejection_reason
    from placed

)

select * from final
