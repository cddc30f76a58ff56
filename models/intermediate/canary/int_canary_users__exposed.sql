{{ config(
    materialized='incremental',
    meta={'replaces': {'changed_visitors': ['user_id'], 'changed_deployments': ['deployment_id']}},
) }}

with

deployments as (

    select * from {{ source('flywheel_state', 'deployments') }}

),

searches as (

    select * from {{ ref('int_canary_searches__served') }}
    where {{ is_replaced() }}

),

users as (

    select
        deployment_id,
        user_id,
        min(searched_at) as first_served_at,
        min(case when served_variant = 'champion' then searched_at end) as champion_served_at,
        min(case when served_variant = 'canary' then searched_at end) as canary_served_at,
        min(case when logged_variant = 'champion' then searched_at end) as champion_logged_at,
        min(case when logged_variant = 'canary' then searched_at end) as canary_logged_at
    from searches
    group by deployment_id, user_id

),

bucketed as (

    select
        users.*,
        {{ assignment_bucket('deployments.salt', 'users.user_id') }} as bucket,
        round(deployments.canary_share * 10000) as canary_buckets
    from users
    inner join deployments
        on users.deployment_id = deployments.deployment_id

),

assigned as (

    select
        *,
        case when bucket < canary_buckets then 'canary' else 'champion' end as assigned_variant
    from bucketed

),

{#
    Dates rather than flags, so that a look already taken does not change afterwards. The arm is the
    assigned one, whatever was served: whom a failing canary sends to the champion, or who sees both,
    is no random part of the users. least() skips nulls: either of the two is enough.
#}
dated as (

    select
        *,
        case assigned_variant
            when 'canary' then cast(least(champion_served_at, champion_logged_at) as date)
            else cast(least(canary_served_at, canary_logged_at) as date)
        end as misassigned_date,
        case
            when champion_served_at is not null and canary_served_at is not null
                then cast(greatest(champion_served_at, canary_served_at) as date)
        end as mixed_date
    from assigned

),

final as (

    select
        deployment_id,
        user_id,
        first_served_at,
        cast(bucket as integer) as bucket,
        assigned_variant,
        misassigned_date,
        mixed_date
    from dated

)

select * from final
