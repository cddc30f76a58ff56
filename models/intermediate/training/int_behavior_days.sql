with

events as (

    select * from {{ ref('int_behavior_events') }}

),

windows as (

    select * from {{ ref('int_windows') }}

),

{# Summed once: what follows adds up days, of which there are fewer than impressions. #}
final as (

    select
        events.query,
        events.doc_id,
        cast(events.happened_at as date) as activity_date,
        events.happened_at < windows.window_end as is_before_window_end,
        events.happened_at < windows.evaluation_end as is_before_evaluation_end,
        cast(sum(events.n_impressions) as bigint) as n_impressions,
        cast(sum(cast(events.exposure as decimal(38, 12))) as decimal(38, 12)) as exposure,
        cast(sum(events.n_clicks) as bigint) as n_clicks,
        cast(sum(events.n_sat_clicks) as bigint) as n_sat_clicks,
        max(events.shown_on) as shown_on
    from events
    cross join windows
    group by
        events.query,
        events.doc_id,
        cast(events.happened_at as date),
        events.happened_at < windows.window_end,
        events.happened_at < windows.evaluation_end

)

select * from final
