with

events as (

    select * from {{ ref('stg_ubi__events') }}
    where rejection_reason is null

),

queries as (

    select * from {{ ref('stg_ubi__queries') }}
    where rejection_reason is null and not is_superseded

),

hits as (

    select * from {{ ref('int_ubi_hits__unnested') }}

),

flat_rows as (

    select * from {{ ref('stg_flat__rows') }}
    where rejection_reason is null

),

{# Only clicks and impressions carry a rank; a filter's ordinal means something else. #}
ubi_ordinals as (

    select
        events.application,
        events.search_id,
        events.ordinal,
        hits.hit_rank
    from events
    left join hits
        on events.search_id = hits.search_id and events.doc_id = hits.doc_id
    where events.action in ('click', 'impression') and events.ordinal >= 0

),

ordinals as (

    select 'ubi' as source_format, application, search_id, ordinal, hit_rank from ubi_ordinals
    union all
    select 'flat', 'flat', search_id, ordinal, cast(null as bigint) from flat_rows

),

per_search as (

    select
        source_format,
        application,
        search_id,
        count(*) as n_ordinals,
        count(case when ordinal = 0 then 1 end) as n_zero_ordinals,
        count(case when ordinal = hit_rank - 1 then 1 end) as n_agree_zero_based,
        count(case when ordinal = hit_rank then 1 end) as n_agree_one_based
    from ordinals
    group by source_format, application, search_id

),

evidence as (

    select
        source_format,
        application,
        sum(n_ordinals) as n_ordinals,
        sum(n_zero_ordinals) as n_zero_ordinals,
        count(*) as n_searches_with_ordinals,
        count(case when n_zero_ordinals > 0 then 1 end) as n_searches_with_zero,
        sum(n_agree_zero_based) as n_agree_zero_based,
        sum(n_agree_one_based) as n_agree_one_based
    from per_search
    group by source_format, application

),

{# Viewport impressions and hit lists are two denominators; an application keeps to one. #}
seen as (

    select
        'ubi' as source_format,
        application,
        count(case when action = 'impression' then 1 end) as n_impression_events
    from events
    group by application
    union all
    select 'ubi', application, 0 from queries
    group by application
    union all
    select distinct 'flat', 'flat', 0 from flat_rows

),

applications as (

    select
        source_format,
        application,
        sum(n_impression_events) as n_impression_events
    from seen
    group by source_format, application

),

final as (

    select
        applications.source_format,
        applications.application,
        cast(case
            when evidence.application is null then 1
            when
                evidence.n_agree_zero_based
                >= 0.9 * (evidence.n_agree_zero_based + evidence.n_agree_one_based)
                and evidence.n_agree_zero_based > 0
                then 0
            when
                evidence.n_agree_one_based
                >= 0.9 * (evidence.n_agree_zero_based + evidence.n_agree_one_based)
                and evidence.n_agree_one_based > 0
                then 1
            when
                evidence.n_searches_with_zero
                >= {{ var('rank_base_zero_share') }} * evidence.n_searches_with_ordinals
                then 0
            else 1
        end as integer) as rank_base,
        case
            when evidence.application is null then 'no ordinals'
            when
                greatest(evidence.n_agree_zero_based, evidence.n_agree_one_based)
                >= 0.9 * (evidence.n_agree_zero_based + evidence.n_agree_one_based)
                and evidence.n_agree_zero_based + evidence.n_agree_one_based > 0
                then 'agrees with the hit lists'
            when
                evidence.n_searches_with_zero
                >= {{ var('rank_base_zero_share') }} * evidence.n_searches_with_ordinals
                then 'ordinal 0 occurs in many searches'
            when evidence.n_zero_ordinals > 0 then 'ordinal 0 occurs in few searches'
            else 'ordinal 0 never occurs'
        end as rank_base_evidence,
        cast(coalesce(evidence.n_ordinals, 0) as bigint) as n_ordinals,
        cast(coalesce(evidence.n_zero_ordinals, 0) as bigint) as n_zero_ordinals,
        cast(coalesce(evidence.n_searches_with_ordinals, 0) as bigint) as n_searches_with_ordinals,
        cast(coalesce(evidence.n_searches_with_zero, 0) as bigint) as n_searches_with_zero,
        cast(coalesce(evidence.n_agree_zero_based, 0) as bigint) as n_agree_zero_based,
        cast(coalesce(evidence.n_agree_one_based, 0) as bigint) as n_agree_one_based,
        case
            when applications.source_format = 'flat' then 'row'
            when applications.n_impression_events > 0 then 'impression_event'
            else 'hit_list'
        end as impression_source
    from applications
    left join evidence
        on
            applications.source_format = evidence.source_format
            and applications.application = evidence.application

)

select * from final
