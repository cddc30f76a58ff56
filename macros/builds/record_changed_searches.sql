{#
    The searches whose facts may have changed: those that changed as input, and those that have any
    activity in a stretch that was cut into sessions anew.
#}
{% macro record_changed_searches(relation) %}
    {% if execute %}
        insert into flywheel_state.changed_searches
        select search_key, {{ current_build() }}
        from flywheel_state.changed_inputs
        union
        select activities.search_id, {{ current_build() }}
        from {{ relation }} as activities
        inner join flywheel_state.changed_visits as visits
            on
                activities.user_id = visits.visitor
                and activities.activity_at between visits.range_start and visits.range_end
        where activities.search_id is not null
    {% endif %}
{% endmacro %}
