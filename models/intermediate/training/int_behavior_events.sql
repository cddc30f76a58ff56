{{ config(materialized='view') }}

{#
    What was learnt about a document, at the moment it was learnt: that it was shown, when the
    search ran; that it was clicked, when it was. A click after midnight is no knowledge of the day
    before.
#}
with

impressions as (

    select * from {{ ref('int_impressions__weighted') }}
    where propensity is not null

),

{# Read apart: an engine keeps all of what is read twice, and few impressions are clicked. #}
clicked_impressions as (

    select * from {{ ref('int_impressions__weighted') }}
    where propensity is not null and clicked = 1

),

windows as (

    select * from {{ ref('int_windows') }}

),

{# `as_of` ends the log here too. #}
shown as (

    select
        impressions.search_id,
        impressions.query,
        impressions.doc_id,
        impressions.searched_at as happened_at,
        1 as n_impressions,
        impressions.propensity as exposure,
        0 as n_clicks,
        0 as n_sat_clicks,
        cast(impressions.searched_at as date) as shown_on
    from impressions
    inner join windows
        on impressions.searched_at < windows.evaluation_end

),

clicked as (

    select
        clicked_impressions.search_id,
        clicked_impressions.query,
        clicked_impressions.doc_id,
        coalesce(clicked_impressions.clicked_at, clicked_impressions.searched_at) as happened_at,
        0 as n_impressions,
        cast(0 as double) as exposure,
        1 as n_clicks,
        case when clicked_impressions.is_sat_click then 1 else 0 end as n_sat_clicks,
        cast(null as date) as shown_on
    from clicked_impressions
    inner join windows
        on clicked_impressions.searched_at < windows.evaluation_end

),

final as (

    select * from shown
    union all
    select * from clicked

)

select * from final
