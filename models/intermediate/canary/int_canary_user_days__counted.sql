{{ config(
    materialized='incremental',
    meta={'replaces': {'changed_visitors': ['user_id'], 'changed_deployments': ['deployment_id']}},
) }}

{#
    What each user did on each day of a canary, per metric a numerator and a denominator:
    ctr is searches with a click over searches, session_success is successful sessions over
    sessions. A session counts on the day of its first search that the deployment served, and only
    if it began inside the deployment: half of an older one was served by something else.
#}
with deployments as (
    select * from {{ source('flywheel_state', 'deployments') }}
),

searches as (
    select * from {{ ref('int_canary_searches__served') }}
    where {{ is_replaced() }}
),

sessions as (
    select * from {{ ref('fct_sessions') }}
),

served_sessions as (
    select
        deployment_id,
        user_id,
        session_id,
        min(search_date) as activity_date
    from searches
    group by deployment_id, user_id, session_id
),

search_days as (
    select
        deployment_id,
        user_id,
        search_date as activity_date,
        'ctr' as metric,
        sum(case when is_clicked then 1 else 0 end) as numerator,
        count(*) as denominator
    from searches
    group by deployment_id, user_id, search_date
),

session_days as (
    select
        served_sessions.deployment_id,
        served_sessions.user_id,
        served_sessions.activity_date,
        'session_success' as metric,
        sum(case when sessions.is_success then 1 else 0 end) as numerator,
        count(*) as denominator
    from served_sessions
    inner join sessions
        on served_sessions.session_id = sessions.session_id
    inner join deployments
        on served_sessions.deployment_id = deployments.deployment_id
    where sessions.started_at >= deployments.started_at
    group by
        served_sessions.deployment_id, served_sessions.user_id, served_sessions.activity_date
),

unioned as (
    select * from search_days

    union all

    select * from session_days
)

select
    deployment_id,
    user_id,
    activity_date,
    metric,
    cast(numerator as bigint) as numerator,
    cast(denominator as bigint) as denominator
from unioned
