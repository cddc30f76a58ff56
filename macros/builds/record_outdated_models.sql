{#
    Where the text of what reads files has changed, the files that are there are read again; rows
    of files that are gone stay as they were read.
#}
{% macro record_outdated_models(outdated) %}
    {% for node in outdated if 'pending_files' in node.config.meta.replaces %}
        {% do run_query('update flywheel_state.loaded_files set n_bytes = null') %}
    {% endfor %}
{% endmacro %}
