{# The sessions that changed searches belong to: before the searches are replaced, and after. #}
{% macro record_changed_sessions(relation, is_before=false) %}
    {% if execute and (not is_before or load_relation(relation) is not none) %}
        insert into flywheel_state.changed_sessions
        select distinct session_id, user_id, {{ current_build() }}
        from {{ relation }}
        where search_id in (select search_id from flywheel_state.changed_searches)
    {% endif %}
{% endmacro %}
