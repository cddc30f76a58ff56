{{ config(
    materialized='incremental',
    meta={'replaces': {'changed_visitors': ['user_id'], 'changed_deployments': ['deployment_id']}},
) }}

{#
    What each user did on each day of a canary, as sums (the macro canary_sums). A session counts on
    the day of its first search that the deployment served, and only if it began inside the
    deployment: half of an older one was served by something else.
#}
{% set listed = canary_sums() %}

with

deployments as (

    select * from {{ source('flywheel_state', 'deployments') }}

),

served_searches as (

    select * from {{ ref('int_canary_searches__served') }}
    where {{ is_replaced() }}

),

searches as (

    select * from {{ ref('fct_searches') }}

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
    from served_searches
    group by deployment_id, user_id, session_id

),

{# Searches and sessions are read once, however many sums there are. #}
search_days as (

    select
        {% for one in listed if one.per == 'search' %}
        {{ exact_sum(one.value) }} as {{ one.name }},
        {% endfor %}
        served_searches.deployment_id,
        served_searches.user_id,
        served_searches.search_date as activity_date
    from served_searches
    inner join searches on served_searches.search_id = searches.search_id
    group by
        served_searches.deployment_id, served_searches.user_id, served_searches.search_date

),

session_days as (

    select
        {% for one in listed if one.per == 'session' %}
        {{ exact_sum(one.value) }} as {{ one.name }},
        {% endfor %}
        served_sessions.deployment_id,
        served_sessions.user_id,
        served_sessions.activity_date
    from served_sessions
    inner join sessions on served_sessions.session_id = sessions.session_id
    inner join deployments on served_sessions.deployment_id = deployments.deployment_id
    where sessions.started_at >= deployments.started_at
    group by
        served_sessions.deployment_id, served_sessions.user_id, served_sessions.activity_date

),

final as (

    {% for one in listed %}
    select
        deployment_id,
        user_id,
        activity_date,
        '{{ one.name }}' as sum_name,
        coalesce({{ one.name }}, 0) as value
    from {{ one.per }}_days
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select * from final
