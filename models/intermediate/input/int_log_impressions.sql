-- depends_on: {{ ref('int_input_rows__judged') }}, which stops the build of an unusable log

with

ubi_searches as (

    select * from {{ ref('int_ubi_searches__resolved') }}
    where {{ is_replaced() }}

),

hits as (

    select * from {{ ref('int_ubi_hits__unnested') }}
    where {{ is_replaced() }}

),

ubi_events as (

    select * from {{ ref('int_ubi_events__judged') }}
    where rejection_reason is null and has_search and {{ is_replaced() }}

),

conventions as (

    select * from {{ ref('int_applications__conventions') }}
    where source_format = 'ubi'

),

flat_rows as (

    select * from {{ ref('int_flat_rows__judged') }}
    where rejection_reason is null and not is_duplicate and {{ is_replaced() }}

),

shown_in_hit_list as (

    select
        hits.search_id,
        hits.doc_id,
        hits.hit_rank as rank,
        'hit_list' as impression_source,
        2 as priority,
        cast(null as timestamp) as shown_at
    from hits
    inner join ubi_searches on hits.search_id = ubi_searches.search_id
    inner join conventions on ubi_searches.application = conventions.application
    where
        conventions.impression_source = 'hit_list'
        and hits.hit_rank <= {{ var('max_rank') }}

),

{# What was clicked was shown, whatever else the log forgot. #}
shown_by_event as (

    select
        search_id,
        doc_id,
        rank,
        case when action = 'click' then 'click' else 'impression_event' end as impression_source,
        case when action = 'click' then 3 else 1 end as priority,
        event_at as shown_at
    from ubi_events
    where action in ('click', 'impression')

),

shown as (

    select * from shown_in_hit_list
    union all
    select * from shown_by_event

),

chosen as (

    select
        *,
        row_number() over (
            partition by search_id, doc_id order by priority, shown_at, rank
        ) as choice
    from shown

),

ubi_impressions as (

    select
        ubi_searches.search_key,
        chosen.search_id,
        chosen.doc_id,
        chosen.rank,
        chosen.impression_source,
        ubi_searches.is_randomised,
        cast(null as bigint) as rank_before_swap,
        cast(null as double) as logging_propensity,
        cast(null as double) as grade,
        false as is_converted
    from chosen
    inner join ubi_searches on chosen.search_id = ubi_searches.search_id
    where chosen.choice = 1

),

final as (

    select * from ubi_impressions
    union all
    select
        search_key,
        search_id,
        doc_id,
        rank,
        'row' as impression_source,
        is_randomised,
        rank_before_swap,
        logging_propensity,
        grade,
        is_converted
    from flat_rows

)

select * from final
