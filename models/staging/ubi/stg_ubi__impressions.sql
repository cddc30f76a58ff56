{{ config(materialized='view') }}

with

queries as (

    select
        search_key,
        search_id,
        application,
        is_randomised,
        {{ first_occurrences('hit_ids') }} as hit_ids
    from {{ ref('base_ubi__queries') }}
    where rejection_reason is null and not is_superseded and hit_ids is not null

),

randomised_searches as (

    select search_id from {{ ref('base_ubi__queries') }}
    where rejection_reason is null and not is_superseded and is_randomised

),

events as (

    select * from {{ ref('stg_ubi__events') }}
    where action in ('click', 'impression')

),

told_by_events as (

    select distinct
        search_id,
        doc_id
    from {{ ref('base_ubi__events') }}
    where rejection_reason is null and action in ('click', 'impression')

),

hits as (

    {{ unnest_with_position(
        'queries', ['search_key', 'search_id', 'application', 'is_randomised'],
        'hit_ids', 'doc_id', 'list_rank'
    ) }}

),

listed as (

    select
        cast(null as string) as source_file,
        cast(null as bigint) as row_number,
        hits.search_key,
        hits.search_id,
        hits.application,
        hits.doc_id,
        cast(null as bigint) as ordinal,
        cast(hits.list_rank as bigint) as list_rank,
        'hit_list' as impression_source,
        2 as preference,
        told_by_events.search_id is not null as is_contested,
        cast(null as timestamp) as shown_at,
        hits.is_randomised
    from hits
    left join told_by_events
        on hits.search_id = told_by_events.search_id and hits.doc_id = told_by_events.doc_id
    where hits.doc_id is not null

),

{# What was clicked was shown, whatever else the log forgot. #}
seen as (

    select
        events.source_file,
        events.row_number,
        events.search_key,
        events.search_id,
        events.application,
        events.doc_id,
        events.ordinal,
        events.list_rank,
        case when events.action = 'click' then 'click' else 'impression_event' end
            as impression_source,
        case when events.action = 'click' then 3 else 1 end as preference,
        true as is_contested,
        events.event_at as shown_at,
        randomised_searches.search_id is not null as is_randomised
    from events
    left join randomised_searches on events.search_id = randomised_searches.search_id

),

shown as (

    select * from listed
    union all
    select * from seen

),

final as (

    select
        *,
        cast(null as bigint) as ordinal_before_swap,
        cast(null as double) as logging_propensity,
        cast(null as double) as grade,
        false as is_converted
    from shown

)

select * from final
