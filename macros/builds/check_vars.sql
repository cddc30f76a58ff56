{# Contradictory or impossible vars stop the run before it starts, with a sentence each. #}
{% macro check_vars() %}
    {% set problems = [] %}
    {% if execute and not chosen_format() %}
        {% do problems.append("log_format is '" ~ var('log_format') ~ "'; it must be "
            ~ declared_formats() | map(attribute='config.meta.format') | sort | join(' or ')
            ~ '.') %}
    {% endif %}
    {% set choices = ['auto'] + estimators() | map(attribute='name') | list %}
    {% if var('propensity_estimator') not in choices %}
        {% do problems.append("propensity_estimator is '" ~ var('propensity_estimator')
            ~ "'; it must be one of " ~ choices | join(', ') ~ '.') %}
    {% endif %}
    {% for name in ('session_timeout_minutes', 'attribution_minutes', 'sat_dwell_seconds',
        'training_window_days', 'evaluation_window_days', 'ips_clip', 'tight_ips_clip', 'max_rank',
        'negatives_per_positive', 'bootstrap_replicates', 'jackknife_groups', 'ipf_steps',
        'canary_planned_users', 'canary_max_days', 'canary_min_users', 'canary_min_outcomes',
        'canary_ramp_after_days', 'min_evaluation_users', 'drift_window_days', 'drift_min_units') %}
        {% if var(name) is not number or var(name) <= 0 %}
            {% do problems.append(name ~ ' is ' ~ var(name) ~ '; it must be a number above 0.') %}
        {% endif %}
    {% endfor %}
    {% for name in ('canary_share', 'canary_alpha', 'srm_alpha', 'confidence_level', 'drift_alpha',
        'bot_max_few_clicks_chance',
        'bot_max_deep_few_clicks_chance', 'drift_max_click_rate_distance', 'drift_max_bot_distance', 'drift_max_dwell_distance',
        'drift_max_rank_distance') %}
        {% if var(name) is not number or var(name) <= 0 or var(name) >= 1 %}
            {% do problems.append(name ~ ' is ' ~ var(name) ~ '; it must lie between 0 and 1.') %}
        {% endif %}
    {% endfor %}
    {% if var('canary_ramp_share') is not number or var('canary_ramp_share') < 0
        or var('canary_ramp_share') >= 1 %}
        {% do problems.append('canary_ramp_share is ' ~ var('canary_ramp_share')
            ~ '; it must be 0 (no ramp) or lie between 0 and 1.') %}
    {% endif %}
    {% if var('hidden_history_share') is not number or var('hidden_history_share') < 0
        or var('hidden_history_share') >= 1 %}
        {% do problems.append('hidden_history_share is ' ~ var('hidden_history_share')
            ~ '; it must be 0 or lie between 0 and 1.') %}
    {% endif %}
    {% if var('propensity_alpha') is not number or var('propensity_alpha') < 0 %}
        {% do problems.append('propensity_alpha is ' ~ var('propensity_alpha')
            ~ '; it must be a number of at least 0.') %}
    {% endif %}
    {% set bands = var('bot_click_rate_bands') %}
    {% if not bands or bands != bands | sort | unique | list or bands[0] <= 0 or bands[-1] >= 1 %}
        {% do problems.append('bot_click_rate_bands is ' ~ bands
            ~ '; it must be a list of numbers between 0 and 1, the smallest first.') %}
    {% endif %}
    {% if problems %}
        {{ exceptions.raise_compiler_error(problems | join(' ')) }}
    {% endif %}
{% endmacro %}
