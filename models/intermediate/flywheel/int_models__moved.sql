{# A view, so that the registry's commands can ask it in the middle of a change. #}
{{ config(materialized='view') }}

with

model_versions as (

    select * from {{ source('flywheel_state', 'model_versions') }}

),

registry_events as (

    select * from {{ source('flywheel_state', 'registry_events') }}

),

{#
    The registry is a log: nothing is ever overwritten, and the last event is the state. One that
    leaves the state as it was tells of fresher behavioural features.
#}
numbered_events as (

    select
        *,
        row_number() over (
            partition by model_version
            order by event_at desc, event_id desc
        ) as recency
    from registry_events
    where from_state is null or from_state <> to_state

),

last_events as (

    select * from numbered_events
    where recency = 1

),

promotions as (

    select
        model_version,
        min(event_id) as event_id
    from registry_events
    where from_state = 'canary' and to_state = 'champion'
    group by model_version

),

taken_back as (

    select distinct model_version
    from registry_events
    where from_state = 'champion' and to_state = 'rolled_back'

),

{#
    A promotion adds to the line of champions and a roll-back takes the last one off, so whoever
    comes before the last is what a roll-back restores; a restored champion keeps its place.
#}
champions as (

    select
        promotions.model_version,
        lead(promotions.model_version) over (order by promotions.event_id) is null as is_current,
        coalesce(
            lag(promotions.model_version) over (order by promotions.event_id), 'logged'
        ) as previous_champion
    from promotions
    left join taken_back on promotions.model_version = taken_back.model_version
    where taken_back.model_version is null

),

final as (

    select
        model_versions.model_version,
        coalesce(last_events.to_state, 'challenger') as state,
        coalesce(last_events.event_at, model_versions.registered_at) as state_changed_at,
        last_events.reason,
        {{ json_string('model_versions.params', '$.refit_of') }} as refit_of,
        coalesce(champions.is_current, false) as is_current_champion,
        champions.previous_champion
    from model_versions
    left join last_events on model_versions.model_version = last_events.model_version
    left join champions on model_versions.model_version = champions.model_version

)

select * from final
