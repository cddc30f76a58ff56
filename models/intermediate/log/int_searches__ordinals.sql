with

impressions as (

    select * from {{ ref('int_impressions__united') }}
    where
        (ordinal is not null or impression_source = 'impression_event')
        and {{ is_replaced() }}

),

searches as (

    select * from {{ ref('int_log_searches') }}
    where {{ is_replaced() }}

),

events as (

    select * from {{ ref('int_events__united') }}
    where {{ is_replaced() }}

),

{# A place below 0 says nothing; who only searched is an application too. #}
seen as (

    select
        source_format,
        application,
        search_key,
        impression_source,
        case when ordinal >= 0 then ordinal end as ordinal,
        list_rank
    from impressions
    union all
    select source_format, application, search_key, null, null, null from searches
    union all
    select source_format, application, search_key, null, null, null from events

),

final as (

    select
        source_format,
        application,
        search_key,
        count(ordinal) as n_ordinals,
        count(case when ordinal = 0 then 1 end) as n_zero_ordinals,
        count(case when ordinal = list_rank - 1 then 1 end) as n_agree_zero_based,
        count(case when ordinal = list_rank then 1 end) as n_agree_one_based,
        count(case when impression_source = 'impression_event' then 1 end) as n_impression_events,
        count(case when impression_source = 'row' then 1 end) as n_impression_rows
    from seen
    group by source_format, application, search_key

)

select * from final
