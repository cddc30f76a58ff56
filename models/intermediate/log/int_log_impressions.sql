{{ config(materialized='view') }}

with

conventions as (

    select * from {{ ref('int_applications__conventions') }}

),

rejected as (

    select * from {{ ref('int_rows__rejected') }}

),

{#
    Viewport impressions and hit lists are two denominators; an application keeps to one. Only where
    several rows tell of one document is there anything to choose: the others are read apart.
#}
{% for name, condition in {
    'told_once': 'not impressions.is_contested',
    'told_more': 'impressions.is_contested',
}.items() -%}
{{ name }} as (

    select
        impressions.*,
        {{ logged_rank(
            'case when impressions.ordinal >= 0'
            ~ ' then impressions.ordinal + 1 - conventions.rank_base end',
            'impressions.list_rank', 'conventions.impression_source'
        ) }} as rank,
        impressions.ordinal_before_swap + 1 - conventions.rank_base as shifted_rank_before_swap
    from {{ ref('int_impressions__united') }} as impressions
    inner join conventions
        on
            impressions.source_format = conventions.source_format
            and impressions.application = conventions.application
    left join rejected
        on
            impressions.source_file = rejected.source_file
            and impressions.row_number = rejected.row_number
    where
        {{ condition }}
        and rejected.row_number is null
        and (
            impressions.impression_source <> 'hit_list'
            or (
                conventions.impression_source = 'hit_list'
                and impressions.list_rank <= {{ var('max_rank') }}
            )
        )

),

{% endfor -%}
chosen as (

    select
        *,
        row_number() over (
            partition by search_id, doc_id order by preference, shown_at, rank
        ) as choice
    from told_more

),

impressions_of_one_row as (

    select * from told_once
    union all
    select * exclude (choice) from chosen
    where choice = 1

),

final as (

    select
        search_key,
        search_id,
        doc_id,
        rank,
        impression_source,
        is_randomised,
        case when shifted_rank_before_swap >= 1 then shifted_rank_before_swap end
            as rank_before_swap,
        logging_propensity,
        grade,
        is_converted
    from impressions_of_one_row

)

select * from final
