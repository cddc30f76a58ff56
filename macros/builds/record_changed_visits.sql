{#
    Which stretches of which visitors' time have to be cut into sessions anew: where a changed
    search or event stood before, where it stands now, a session's timeout on either side, then
    whole days (bots are judged by the day) and whole sessions. Nothing outside such a stretch can
    belong to a session inside it.
#}
{% macro record_changed_visits(relation) %}
    {% if execute and is_incremental() %}
        {% set timeout = "interval '" ~ var('session_timeout_minutes') ~ "' minute" %}
        insert into flywheel_state.changed_visits
        with

        changed as (

            select distinct search_key from flywheel_state.changed_inputs

        ),

        moments as (

            select user_id, searched_at as activity_at
            from {{ ref('int_log_searches') }}
            where search_key in (select search_key from changed)
            union all
            select user_id, event_at
            from {{ ref('int_log_events') }}
            where search_key in (select search_key from changed)
            union all
            select user_id, activity_at
            from {{ relation }}
            where search_key in (select search_key from changed)

        ),

        stretches as (

            select
                user_id,
                date_trunc('day', min(activity_at) - {{ timeout }}) as range_start,
                date_trunc('day', max(activity_at) + {{ timeout }}) + interval '1' day
                - interval '1' microsecond as range_end
            from moments
            group by user_id

        )

        {{ with_whole_sessions('stretches', relation) }}
    {% endif %}
{% endmacro %}
