{{ config(
    materialized='incremental',
    meta={'replaces': {'changed_visits': ['user_id', 'started_at']}},
) }}

with

activities as (

    select * from {{ ref('int_activities__sessionized') }}
    where {{ is_replaced({'started_at': 'activity_at'}) }}

),

verdicts as (

    select * from {{ ref('int_visitor_days__bot_verdicts') }}

),

session_days as (

    select distinct
        session_id,
        user_id,
        cast(activity_at as date) as activity_date,
        min(activity_at) over (partition by session_id) as started_at
    from activities

),

session_reasons as (

    select distinct
        session_days.session_id,
        session_days.user_id,
        session_days.started_at,
        verdicts.bot_reason
    from session_days
    inner join verdicts
        on
            session_days.user_id = verdicts.user_id
            and session_days.activity_date = verdicts.activity_date

),

final as (

    select
        session_id,
        user_id,
        started_at,
        list(bot_reason order by bot_reason) as bot_reasons
    from session_reasons
    group by session_id, user_id, started_at

)

select * from final
