{#
    Opens a build: numbers it, forgets the changes that every incremental model has seen, and asks
    for everything to be derived anew where a rule has changed since the last one.
#}
{% macro start_build() %}
    {% if execute and flags.WHICH in ('build', 'run') %}
        {% set incremental = [] %}
        {% for node in graph.nodes.values()
            if node.resource_type == 'model'
            and node.config.get('incremental_strategy') == 'replace_scope'
            and node.config.materialized == 'incremental' %}
            {% do incremental.append(node) %}
        {% endfor %}
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
        {% do refuse_unwanted_rebuild(log_id, rules) %}
        {% set number = run_query(
            'select coalesce(max(build_number), 0) + 1 from flywheel_state.builds'
        ).columns[0].values() | first %}
        {% do record_changed_rules(incremental, rules, number) %}
        {% do record_backfill(incremental, number) %}
        {% do record_changed_deployments(number) %}
        {% do run_query(
            "insert into flywheel_state.builds values (" ~ number ~ ", timestamp '"
            ~ run_started_at.strftime('%Y-%m-%d %H:%M:%S') ~ "', '" ~ log_id ~ "', '"
            ~ rules | replace("'", "''") ~ "')"
        ) %}
    {% endif %}
{% endmacro %}

{#
    A table that no build has recorded was made before there were builds, or left behind by a model
    that was switched off for a while: nobody knows what it has seen.
#}
{% macro drop_unrecorded_models(incremental) %}
    {% set recorded = run_query(
        'select distinct model_name from flywheel_state.model_builds'
    ).columns[0].values() | list %}
    {% for node in incremental if node.name not in recorded %}
        {% set relation = adapter.get_relation(node.database, node.schema, node.alias) %}
        {% if relation is not none %}
            {% do adapter.drop_relation(relation) %}
        {% endif %}
    {% endfor %}
    {% do run_query(
        "delete from flywheel_state.model_builds where model_name not in ('"
        ~ incremental | map(attribute='name') | join("', '") ~ "')"
    ) %}
{% endmacro %}

{# The rules as text that can be compared; the seeds that models read are rules too. #}
{% macro rules_as_json() %}
    {% set values = {} %}
    {% for name in rule_vars() %}
        {% do values.update({name: var(name)}) %}
    {% endfor %}
    {% for node in graph.nodes.values() if node.resource_type == 'seed' %}
        {% do values.update({'seed ' ~ node.name: node.checksum.checksum}) %}
    {% endfor %}
    {{ return(tojson(values, sort_keys=true)) }}
{% endmacro %}

{% macro last_rules() %}
    {{ return(run_query(
        'select rules from flywheel_state.builds order by build_number desc limit 1'
    ).columns[0].values() | first) }}
{% endmacro %}

{#
    Outside the dev targets a rebuild of everything is asked for, never stumbled into: it rewrites
    published history, and rows whose files are gone cannot be read again.
#}
{% macro refuse_unwanted_rebuild(log_id, rules) %}
    {% if target.name not in var('dev_targets') and not var('allow_full_refresh') %}
        {% set leave = ' (target ' ~ target.name ~ "). If that is meant, say so: "
            ~ "--vars '{allow_full_refresh: true}'." %}
        {% if flags.FULL_REFRESH %}
            {{ exceptions.raise_compiler_error(
                '--full-refresh would rebuild published tables from the files that are there now'
                ~ leave
            ) }}
        {% endif %}
        {% set others = run_query(
            "select count(*) from flywheel_state.loaded_files where log_id <> '" ~ log_id ~ "'"
        ).columns[0].values() | first %}
        {% if others %}
            {{ exceptions.raise_compiler_error(
                'The vars ' ~ log_vars() | join(', ') ~ ' name another log than the one that was '
                ~ 'loaded, which would leave the warehouse' ~ leave
            ) }}
        {% endif %}
        {% set last = last_rules() %}
        {% if last and last != rules %}
            {% set before = fromjson(last) %}
            {% set after = fromjson(rules) %}
            {% set changed = [] %}
            {% for name in after if after[name] != before.get(name) %}
                {% do changed.append(name ~ ' from ' ~ before.get(name) ~ ' to ' ~ after[name]) %}
            {% endfor %}
            {{ exceptions.raise_compiler_error(
                'Since the last build these rules have changed, and all of history would be '
                ~ 'derived anew: ' ~ changed | join(', ') ~ leave
            ) }}
        {% endif %}
    {% endif %}
{% endmacro %}

{# What staging holds, all of it or a range of days, is marked as changed. #}
{% macro record_staged_rows(incremental, number, condition) %}
    {% set times = {'stg_ubi__documents': 'logged_at', 'stg_flat__rows': 'searched_at'} %}
    {% for node in incremental if node.name in times %}
        {% set relation = adapter.get_relation(node.database, node.schema, node.alias) %}
        {% if relation is not none %}
            {% do run_query(
                'insert into flywheel_state.changed_inputs select distinct search_key, '
                ~ number ~ ' from ' ~ relation ~ ' where '
                ~ condition | replace('logged_at', times[node.name])
            ) %}
        {% endif %}
    {% endfor %}
{% endmacro %}

{% macro record_changed_rules(incremental, rules, number) %}
    {% set last = last_rules() %}
    {% if last and last != rules %}
        {% do record_staged_rows(incremental, number, 'true') %}
        {% for node in incremental if node.name == 'int_user_agents__classified' %}
            {% set relation = adapter.get_relation(node.database, node.schema, node.alias) %}
            {% if relation is not none %}
                {% do run_query('delete from ' ~ relation) %}
            {% endif %}
        {% endfor %}
    {% endif %}
{% endmacro %}

{% macro record_backfill(incremental, number) %}
    {% if var('backfill_start') or var('backfill_end') %}
        {% set conditions = [] %}
        {% if var('backfill_start') %}
            {% do conditions.append(
                "logged_at >= cast('" ~ var('backfill_start') ~ "' as timestamp)"
            ) %}
        {% endif %}
        {% if var('backfill_end') %}
            {% do conditions.append(
                "logged_at < cast('" ~ var('backfill_end') ~ "' as timestamp)"
            ) %}
        {% endif %}
        {% do record_staged_rows(incremental, number, conditions | join(' and ')) %}
    {% endif %}
{% endmacro %}

{# A deployment that began, ended or changed asks for its users to be counted again. #}
{% macro record_changed_deployments(number) %}
    {% set fingerprinted %}
        select
            deployment_id,
            md5(concat_ws(
                '|', champion_version, challenger_version, salt, unit,
                cast(canary_share as varchar), cast(started_at as varchar),
                coalesce(cast(ended_at as varchar), 'open')
            )) as fingerprint
        from flywheel_state.deployments
    {% endset %}
    {% do run_query(
        'insert into flywheel_state.changed_deployments select deployments.deployment_id, '
        ~ number ~ ' from (' ~ fingerprinted ~ ') as deployments '
        ~ 'left join flywheel_state.seen_deployments as seen '
        ~ 'on deployments.deployment_id = seen.deployment_id '
        ~ 'and deployments.fingerprint = seen.fingerprint where seen.deployment_id is null'
    ) %}
    {% do run_query('delete from flywheel_state.seen_deployments') %}
    {% do run_query('insert into flywheel_state.seen_deployments ' ~ fingerprinted) %}
{% endmacro %}
