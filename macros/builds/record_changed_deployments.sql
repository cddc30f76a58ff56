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
