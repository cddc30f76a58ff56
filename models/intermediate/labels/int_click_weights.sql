{{ config(materialized='view') }}

with

weighted as (

    select * from {{ ref('int_impressions__weighted') }}
    where propensity is not null

),

windows as (

    select * from {{ ref('int_windows') }}

),

final as (

    select
        weighted.search_id,
        weighted.doc_id,
        weighted.query,
        weighted.user_id,
        weighted.searched_at,
        weighted.rank,
        weighted.clicked,
        weighted.clicked_at,
        weighted.is_sat_click,
        weighted.is_last_click,
        weighted.is_pogo,
        weighted.is_converted,
        weighted.propensity,
        weighted.ips_weight,
        weighted.ips_label
    from weighted
    inner join windows
        on
            weighted.searched_at >= windows.window_start
            and weighted.searched_at < windows.window_end

)

select * from final
