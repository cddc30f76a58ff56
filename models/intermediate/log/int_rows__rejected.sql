with

events as (

    select * from {{ ref('int_events__judged') }}
    where rejection_reason is not null and {{ is_replaced() }}

),

{# What an event shows is judged with the event. #}
impressions as (

    select * from {{ ref('int_impressions__united') }}
    where impression_source = 'row' and {{ is_replaced() }}

),

conventions as (

    select * from {{ ref('int_applications__conventions') }}

),

placed as (

    select
        impressions.source_file,
        impressions.row_number,
        impressions.search_key,
        impressions.ordinal,
        impressions.list_rank,
        impressions.ordinal + 1 - conventions.rank_base as rank_from_ordinal
    from impressions
    inner join conventions
        on
            impressions.source_format = conventions.source_format
            and impressions.application = conventions.application

),

misplaced as (

    select
        source_file,
        row_number,
        search_key,
        {{ rank_rejection('ordinal', 'rank_from_ordinal', 'list_rank') }} as rejection_reason
    from placed

),

final as (

    select
        source_file,
        row_number,
        search_key,
        rejection_reason
    from events
    union
    select
        source_file,
        row_number,
        search_key,
        rejection_reason
    from misplaced
    where rejection_reason is not null

)

select * from final
