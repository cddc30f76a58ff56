{#
    Opens a build: numbers it, forgets the changes that every incremental model has seen, and asks
    for everything to be derived anew where a rule has changed since the last one.
#}
{% macro start_build() %}
    {% if execute and flags.WHICH in ('build', 'run') %}
        {% set incremental = incremental_models() %}
        {% do check_scopes(incremental) %}
        {% do drop_unrecorded_models(incremental) %}
        {% set names = incremental | map(attribute='name') | join("', '") %}
        {% set seen = run_query(
            "select coalesce(min(seen), 0) from (select max(build_number) as seen "
            ~ "from flywheel_state.model_builds where model_name in ('" ~ names ~ "') "
            ~ "group by model_name) as models"
        ).columns[0].values() | first %}
        {% for table in change_tables() %}
            {% do run_query(
                'delete from flywheel_state.' ~ table ~ ' where build_number <= ' ~ seen
            ) %}
        {% endfor %}
        {% set values = {} %}
        {% for name in log_vars() %}
            {% do values.update({name: var(name)}) %}
        {% endfor %}
        {% set log_id = local_md5(tojson(values, sort_keys=true)) %}
        {% set rules = rules_as_json() %}
        {% set outdated = find_outdated_models(incremental) %}
        {% do refuse_unwanted_rebuild(log_id, rules, outdated) %}
        {% set number = run_query(
            'select coalesce(max(build_number), 0) + 1 from flywheel_state.builds'
        ).columns[0].values() | first %}
        {% do record_changed_rules(incremental, rules, number) %}
        {% do record_outdated_models(outdated) %}
        {% do record_backfill(incremental, number) %}
        {% do record_changed_deployments(number) %}
        {% do run_query(
            "insert into flywheel_state.builds values (" ~ number ~ ", timestamp '"
            ~ run_started_at.strftime('%Y-%m-%d %H:%M:%S') ~ "', '" ~ log_id ~ "', '"
            ~ rules | replace("'", "''") ~ "')"
        ) %}
    {% endif %}
{% endmacro %}
