{#
    Notes the searches of the rows that stand in files about to be read: before staging replaces
    them, and after. A first build has nobody to tell.
#}
{% macro record_changed_inputs(relation, is_before=false) %}
    {% if execute and (not is_before or load_relation(relation) is not none) %}
        {% set search_key = model.config.meta.get('search_key', 'search_key') %}
        insert into flywheel_state.changed_inputs
        select distinct {{ search_key }}, {{ current_build() }}
        from {{ relation }}
        where
            {{ search_key }} is not null and
            {% if not flags.FULL_REFRESH %}
            source_file in (select source_file from flywheel_state.pending_files) and
            {% endif %}
            exists (
                select 1 from flywheel_state.model_builds where build_number < {{ current_build() }}
            )
    {% endif %}
{% endmacro %}
