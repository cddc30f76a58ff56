{# Notes the files that staging now holds, in the transaction that staged them. #}
{% macro record_loaded_files(source_name) %}
    {% if execute %}
        delete from flywheel_state.loaded_files
        where
            source = '{{ source_name }}'
            {% if not flags.FULL_REFRESH %}
            and source_file in (select source_file from flywheel_state.pending_files)
            {% endif %};

        insert into flywheel_state.loaded_files
        select
            pending.source, pending.source_file, pending.n_bytes, pending.modified_at,
            pending.arrived_at, builds.log_id, builds.build_number
        from flywheel_state.pending_files as pending
        cross join flywheel_state.builds as builds
        where
            pending.source = '{{ source_name }}'
            and pending.is_named
            and builds.build_number = {{ current_build() }}
    {% endif %}
{% endmacro %}
