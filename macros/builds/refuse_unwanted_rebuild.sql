{#
    Outside the dev targets a rebuild of everything is asked for, never stumbled into: it rewrites
    published history, and rows whose files are gone cannot be read again.
#}
{% macro refuse_unwanted_rebuild(log_id, rules, outdated) %}
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
        {% if outdated %}
            {{ exceptions.raise_compiler_error(
                'Since the last build the SQL of these models, or of what they read, has changed, '
                ~ 'and they would be built from nothing: '
                ~ outdated | map(attribute='name') | join(', ') ~ leave
            ) }}
        {% endif %}
    {% endif %}
{% endmacro %}
