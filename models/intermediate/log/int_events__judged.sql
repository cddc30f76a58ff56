with

events as (

    select * from {{ ref('int_events__united') }}
    where {{ is_replaced() }}

),

searches as (

    select * from {{ ref('int_log_searches') }}
    where {{ is_replaced() }}

),

conventions as (

    select * from {{ ref('int_applications__conventions') }}

),

placed as (

    select
        events.*,
        searches.search_id is not null as has_search,
        searches.search_id as found_search_id,
        searches.user_id,
        searches.searched_at,
        case
            when events.ordinal >= 0 then events.ordinal + 1 - conventions.rank_base
        end as rank_from_ordinal,
        conventions.impression_source
    from events
    left join conventions
        on
            events.source_format = conventions.source_format
            and events.application = conventions.application
    left join searches on events.search_id = searches.search_id

),

{#
    An event belongs to whoever made its search, even where it names someone else. A log may not
    say when a click happened; it is then known to follow its search.
#}
final as (

    select
        source_file,
        row_number,
        event_id,
        search_key,
        found_search_id as search_id,
        coalesce(
            user_id,
            {{ visitor_id('client_id', 'logged_user_id', 'logged_session_id', 'event_id') }}
        ) as user_id,
        action,
        coalesce(event_at, searched_at) as event_at,
        arrived_at,
        event_at is not null as has_event_time,
        doc_id,
        {{ logged_rank('rank_from_ordinal', 'list_rank', 'impression_source') }} as rank,
        explicit_dwell_seconds,
        user_agent,
        case
            when action not in ('click', 'impression') then null
            when not has_search then 'orphan_event'
            when {{ rank_rejection('ordinal', 'rank_from_ordinal', 'list_rank') }} is not null
                then {{ rank_rejection('ordinal', 'rank_from_ordinal', 'list_rank') }}
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
