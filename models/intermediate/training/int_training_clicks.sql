{#
    Each click of the window with the part of the training set it belongs to. The last clicks tell
    when to stop training: whole days where the window has enough of them, because features change
    from day to day; else simply the last clicks.
#}
{% set validation_share = 0.15 %}
{% set min_days_for_whole_days = 7 %}

with

click_weights as (

    select * from {{ ref('int_click_weights') }}

),

windows as (

    select * from {{ ref('int_windows') }}

),

clicks as (

    {{ clicks_on_pages('click_weights') | indent(4) }}

),

{# Ties in time fall on the same side: count() over a range, not row_number(). #}
positions as (

    select
        *,
        count(*) over () as n_clicks,
        count(*) over (order by feature_date desc) as n_clicks_from_date,
        count(*) over (order by searched_at desc) as n_clicks_from_time,
        max(feature_date) over () as last_date,
        min(feature_date) over () as first_date
    from clicks

),

final as (

    select
        positions.search_id,
        positions.query,
        positions.doc_id,
        positions.page_id,
        positions.searched_at,
        positions.feature_date,
        positions.ips_label,
        case
            when
                windows.window_end
                >= windows.window_start + {{ min_days_for_whole_days }} * interval '1' day
                and positions.first_date < positions.last_date
                then
                    positions.n_clicks_from_date <= {{ validation_share }} * positions.n_clicks
                    or positions.feature_date = positions.last_date
            else positions.n_clicks_from_time <= {{ validation_share }} * positions.n_clicks
        end as is_validation
    from positions
    cross join windows

)

select * from final
