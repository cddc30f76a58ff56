{{ config(materialized='view') }}

{#
    What was learnt about a document, at the moment it was learnt: that it was shown, when the
    search ran; that it was clicked, when it was. A click after midnight is no knowledge of the day
    before.
#}
with impressions as (
    select * from {{ ref('int_impressions__weighted') }}
    where propensity is not null
),

windows as (
    select * from {{ ref('int_windows') }}
),

weighted as (
    select impressions.*
    from impressions
    -- `as_of` ends the log here too
    inner join windows
        on impressions.searched_at < windows.evaluation_end
),

shown as (
    select
        search_id,
        query,
        doc_id,
        searched_at as happened_at,
        1 as n_impressions,
        propensity as exposure,
        0 as n_clicks,
        0 as n_sat_clicks,
        cast(searched_at as date) as shown_on
    from weighted
),

clicked as (
    select
        search_id,
        query,
        doc_id,
        coalesce(clicked_at, searched_at) as happened_at,
        0 as n_impressions,
        cast(0 as double) as exposure,
        1 as n_clicks,
        case when is_sat_click then 1 else 0 end as n_sat_clicks,
        cast(null as date) as shown_on
    from weighted
    where clicked = 1
)

select * from shown
union all
select * from clicked
