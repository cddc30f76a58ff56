{#
    Notes, in the transaction that writes an incremental model, that it has now seen what this
    build knows, and the code it was built by. An appending run has already noted how many rows it wrote.
#}
{% macro record_model_build(relation) %}
    {% if execute and model.config.get('incremental_strategy') == 'replace_scope'
        and model.config.materialized == 'incremental' %}
        insert into flywheel_state.model_builds
        select '{{ model.name }}', {{ current_build() }}, (select count(*) from {{ relation }})
        where not exists (
            select 1 from flywheel_state.model_builds
            where model_name = '{{ model.name }}' and build_number = {{ current_build() }}
        );

        insert into flywheel_state.model_codes
        values (
            '{{ model.name }}', '{{ graph.nodes[model.unique_id].build_code }}', {{ current_build() }}
        )
    {% endif %}
{% endmacro %}
