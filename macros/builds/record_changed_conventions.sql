{# An application whose ranks are read otherwise than before changes all of its searches. #}
{% macro record_changed_conventions(relation) %}
    {% if execute %}
        insert into flywheel_state.changed_inputs
        select distinct ordinals.search_key, {{ current_build() }}
        from {{ ref('int_searches__ordinals') }} as ordinals
        inner join {{ relation }} as conventions
            on
                ordinals.source_format = conventions.source_format
                and ordinals.application = conventions.application
        where
            conventions.decided_in_build = {{ current_build() }}
            and exists (
                select 1 from flywheel_state.model_builds where build_number < {{ current_build() }}
            )
    {% endif %}
{% endmacro %}
