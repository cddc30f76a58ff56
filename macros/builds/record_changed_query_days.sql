{# The days and queries that changed searches count in: before they are replaced, and after. #}
{% macro record_changed_query_days(relation, is_before=false) %}
    {% if execute and (not is_before or load_relation(relation) is not none) %}
        insert into flywheel_state.changed_query_days
        select distinct cast(searched_at as date), query, {{ current_build() }}
        from {{ relation }}
        where search_id in (select search_id from flywheel_state.changed_searches)
    {% endif %}
{% endmacro %}
