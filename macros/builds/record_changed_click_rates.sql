{#
    Where people of an application are taken to click otherwise than before, days with few clicks
    have to be judged anew: whole days, and whole sessions, as in record_changed_visits. Signals
    and sessions stay what they are, so that models before this one have nothing to do again.
#}
{% macro record_changed_click_rates(relation) %}
    {% if execute %}
        {% set activities = ref('int_activities__sessionized') %}
        insert into flywheel_state.changed_visits
        with

        days as (

            select
                signals.user_id,
                cast(signals.activity_date as timestamp) as range_start,
                cast(signals.activity_date as timestamp) + interval '1' day
                - interval '1' microsecond as range_end
            from {{ ref('int_visitor_days__bot_signals') }} as signals
            inner join {{ relation }} as rates on signals.application = rates.application
            where
                rates.decided_in_build = {{ current_build() }}
                and exists (
                    select 1 from flywheel_state.model_builds
                    where build_number < {{ current_build() }}
                )
                and (
                    {%- for rule in few_clicks_rules().values() %}
                    ({{ rule.condition }})
                    {{- ' or' if not loop.last }}
                    {%- endfor %}
                )

        )

        {{ with_whole_sessions('days', activities) }};

        insert into flywheel_state.changed_searches
        select distinct activities.search_id, {{ current_build() }}
        from {{ activities }} as activities
        inner join flywheel_state.changed_visits as visits
            on
                activities.user_id = visits.visitor
                and activities.activity_at between visits.range_start and visits.range_end
        where
            activities.search_id is not null
            and exists (
                select 1 from {{ relation }} where decided_in_build = {{ current_build() }}
            )
    {% endif %}
{% endmacro %}
