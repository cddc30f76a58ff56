{# What a model trained on the window may know when it is judged: nothing after the window. #}
with events as (
    select * from {{ ref('int_behavior_events') }}
),

moments as (
    select window_end as moment
    from {{ ref('int_windows') }}
),

snapshot as (
    {{ behavior_snapshot('events', 'moments') | indent(4) }}
)

select * from snapshot
