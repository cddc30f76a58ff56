with

ubi_events as (

    select * from {{ ref('int_ubi_events__judged') }}
    where rejection_reason is null and {{ is_replaced() }}

),

flat_rows as (

    select * from {{ ref('int_flat_rows__judged') }}
    where rejection_reason is null and not is_duplicate and {{ is_replaced() }}

),

searches as (

    select * from {{ ref('int_log_searches') }}
    where {{ is_replaced() }}

),

{# An event belongs to whoever made its search, even where it names someone else. #}
attributed_ubi_events as (

    select
        ubi_events.event_id,
        ubi_events.search_key,
        searches.search_id,
        coalesce(
            searches.user_id,
            {{ visitor_id(
                'ubi_events.client_id', 'ubi_events.logged_user_id',
                'ubi_events.logged_session_id', 'ubi_events.event_id'
            ) }}
        ) as user_id,
        ubi_events.action,
        ubi_events.event_at,
        ubi_events.arrived_at,
        true as has_event_time,
        ubi_events.doc_id,
        ubi_events.rank,
        ubi_events.explicit_dwell_seconds,
        ubi_events.user_agent
    from ubi_events
    left join searches on ubi_events.search_id = searches.search_id

),

{# A flat log may not say when a click happened; it is then known to follow its search. #}
flat_clicks as (

    select
        {# One click a search and document, whatever file and line it stood in. #}
        md5(flat_rows.search_id || '|' || flat_rows.doc_id) as event_id,
        flat_rows.search_key,
        flat_rows.search_id,
        searches.user_id,
        'click' as action,
        coalesce(flat_rows.clicked_at, searches.searched_at) as event_at,
        flat_rows.arrived_at,
        flat_rows.clicked_at is not null as has_event_time,
        flat_rows.doc_id,
        flat_rows.rank,
        flat_rows.dwell_seconds as explicit_dwell_seconds,
        flat_rows.user_agent
    from flat_rows
    inner join searches on flat_rows.search_id = searches.search_id
    where flat_rows.is_clicked

),

final as (

    select * from attributed_ubi_events
    union all
    select * from flat_clicks

)

select * from final
