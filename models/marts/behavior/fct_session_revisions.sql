with

activities as (

    select * from {{ ref('int_activities__sessionized') }}

),

sessions as (

    select * from {{ ref('fct_sessions') }}

),

{# A session is first published with the file that first told of it. #}
arrivals as (

    select
        session_id,
        min(arrived_at) as first_arrived_at,
        max(arrived_at) as last_arrived_at
    from activities
    group by session_id

),

dated as (

    select
        cast(sessions.started_at as date) as session_date,
        arrivals.last_arrived_at > arrivals.first_arrived_at as is_revised,
        {{ epoch_seconds('arrivals.last_arrived_at') }}
        - {{ epoch_seconds('arrivals.first_arrived_at') }} as revised_after_seconds
    from sessions
    inner join arrivals on sessions.session_id = arrivals.session_id

),

final as (

    select
        cast(count(*) as bigint) as n_sessions,
        cast(count(case when is_revised then 1 end) as bigint) as n_revised_sessions,
        cast(count(case when is_revised then 1 end) as double) / count(*) as share_revised,
        cast(max(revised_after_seconds) as double) as max_revised_after_seconds,
        cast(session_date as date) as session_date
    from dated
    group by session_date

)

select * from final
