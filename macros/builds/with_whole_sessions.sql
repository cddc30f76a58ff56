{#
    Stretches of visitors' time, each widened to the sessions it cuts: a session is made and judged
    as one.
#}
{% macro with_whole_sessions(stretches, activities) %}
        select
            stretches.user_id,
            least(stretches.range_start, min(sessions.started_at)) as range_start,
            greatest(stretches.range_end, max(sessions.ended_at)) as range_end,
            {{ current_build() }} as build_number
        from {{ stretches }} as stretches
        left join (
            select
                user_id,
                session_id,
                min(activity_at) as started_at,
                max(activity_at) as ended_at
            from {{ activities }}
            where user_id in (select user_id from {{ stretches }})
            group by user_id, session_id
        ) as sessions
            on
                stretches.user_id = sessions.user_id
                and sessions.started_at <= stretches.range_end
                and sessions.ended_at >= stretches.range_start
        group by stretches.user_id, stretches.range_start, stretches.range_end
{%- endmacro %}
