with events as (
    select * from {{ ref('int_behavior_events') }}
),

moments as (
    select evaluation_end as moment
    from {{ ref('int_windows') }}
),

snapshot as (
    {{ behavior_snapshot('events', 'moments') | indent(4) }}
)

select * from snapshot
