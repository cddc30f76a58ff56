with

events as (

    select * from {{ ref('stg_ubi__events') }}
    where rejection_reason is null and {{ is_replaced() }}

),

queries as (

    select * from {{ ref('stg_ubi__queries') }}
    where rejection_reason is null and not is_superseded and {{ is_replaced() }}

),

hits as (

    select * from {{ ref('int_ubi_hits__unnested') }}
    where {{ is_replaced() }}

),

flat_rows as (

    select * from {{ ref('int_flat_rows__deduplicated') }}
    where rejection_reason is null and {{ is_replaced() }}

),

{# Only clicks and impressions carry a rank; a filter's ordinal means something else. #}
ubi_events as (

    select
        'ubi' as source_format,
        events.application,
        events.search_key,
        case
            when events.action in ('click', 'impression') and events.ordinal >= 0
                then events.ordinal
        end as ordinal,
        hits.hit_rank,
        case when events.action = 'impression' then 1 else 0 end as is_impression
    from events
    left join hits
        on events.search_id = hits.search_id and events.doc_id = hits.doc_id

),

seen as (

    select * from ubi_events
    union all
    select 'ubi', application, search_key, cast(null as bigint), cast(null as bigint), 0
    from queries
    union all
    select 'flat', 'flat', search_key, ordinal, cast(null as bigint), 0 from flat_rows

),

final as (

    select
        source_format,
        application,
        search_key,
        count(ordinal) as n_ordinals,
        count(case when ordinal = 0 then 1 end) as n_zero_ordinals,
        count(case when ordinal = hit_rank - 1 then 1 end) as n_agree_zero_based,
        count(case when ordinal = hit_rank then 1 end) as n_agree_one_based,
        cast(sum(is_impression) as bigint) as n_impression_events
    from seen
    group by source_format, application, search_key

)

select * from final
