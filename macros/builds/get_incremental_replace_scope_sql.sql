{#
    The incremental strategy of this project: rows that the model says are replaced are removed,
    and what the model now says of them takes their place. Unlike a unique key, a scope also removes
    rows that have nothing to take their place, such as a session that became part of another.
#}
{% macro get_incremental_replace_scope_sql(arg_dict) %}
    {% set columns = arg_dict.dest_columns | map(attribute='quoted') | join(', ') %}
    delete from {{ arg_dict.target_relation }}
    where {{ is_replaced() }};

    insert into {{ arg_dict.target_relation }} ({{ columns }})
    select {{ columns }} from {{ arg_dict.temp_relation }};

    insert into flywheel_state.model_builds
    select '{{ model.name }}', {{ current_build() }}, count(*) from {{ arg_dict.temp_relation }}
{% endmacro %}
