{#
    A table half built by one text and half by another would be neither. Each incremental model has
    a code: of its text, the macros it calls, and the codes of the models it reads. One whose last
    build had another code is built from nothing, and so is what reads it, since its code differs
    too. A model that this build leaves out has the code of its last build, so that a build of a few
    models leaves the rest for later. Codes and verdicts are noted in the graph, which hooks and
    materializations of this run share; nothing is asked of the warehouse while models are compiled.
#}
{% macro find_outdated_models(incremental) %}
    {% do run_query(
        'delete from flywheel_state.model_codes where build_number < ('
        ~ 'select max(latest.build_number) from flywheel_state.model_codes as latest '
        ~ 'where latest.model_name = model_codes.model_name)'
    ) %}
    {% set codes = {} %}
    {% set recorded = {} %}
    {% for row in run_query(
        'select model_name, code from flywheel_state.model_codes'
    ).rows %}
        {% do recorded.update({row[0]: row[1]}) %}
    {% endfor %}
    {% for node in incremental if node.unique_id not in selected_resources %}
        {% do codes.update({node.unique_id: recorded.get(node.name, 'never built')}) %}
    {% endfor %}
    {% set outdated = [] %}
    {% for node in incremental %}
        {% set code = code_of_model(node.unique_id, codes) %}
        {% set is_outdated = recorded.get(node.name) != code
            and node.unique_id in selected_resources
            and adapter.get_relation(node.database, node.schema, node.alias) is not none %}
        {% if is_outdated %}
            {% do outdated.append(node) %}
        {% endif %}
        {% do node.update({
            'build_code': code,
            'is_outdated': is_outdated and 'pending_files' not in node.config.meta.replaces,
        }) %}
    {% endfor %}
    {{ return(outdated) }}
{% endmacro %}
