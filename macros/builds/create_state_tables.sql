{#
    Tables that outlive a rebuild: what Python writes, and what builds remember of each other (see
    docs/incremental.md). They are created empty before anything else, so that `dbt build` works
    before a model was ever trained.
#}
{% macro create_state_tables() %}
    {% if execute and flags.WHICH in ('build', 'run', 'test') %}
        {% set tables = {
            'model_versions': 'model_version varchar, registered_at timestamp,
                window_start timestamp, window_end timestamp, fingerprint varchar,
                artifact_path varchar, artifact_sha256 varchar, features varchar,
                metrics varchar, params varchar',
            'registry_events': 'event_id varchar, event_at timestamp, model_version varchar,
                from_state varchar, to_state varchar, reason varchar, evidence varchar',
            'behavior_snapshots': 'snapshot_id varchar, model_version varchar, as_of timestamp,
                path varchar, sha256 varchar, created_at timestamp',
            'deployments': 'deployment_id varchar, champion_version varchar,
                challenger_version varchar, salt varchar, unit varchar, canary_share double,
                started_at timestamp, ended_at timestamp, outcome varchar, reason varchar',
            'evaluations': 'evaluation_id varchar, model_version varchar,
                champion_version varchar, window_start timestamp, window_end timestamp,
                requested_at timestamp',
            'ranker_scores': 'model_version varchar, search_id varchar, doc_id varchar,
                score double',
            'candidate_scores': 'model_version varchar, query varchar, doc_id varchar,
                score double',
            'iterations': 'iteration_id varchar, iteration integer, started_at timestamp,
                finished_at timestamp, challenger_version varchar, champion_version varchar,
                evaluation_id varchar, deployment_id varchar, status varchar, reason varchar,
                fingerprint varchar',
            'builds': 'build_number bigint, started_at timestamp, log_id varchar, rules varchar',
            'model_builds': 'model_name varchar, build_number bigint, n_rows_written bigint',
            'model_codes': 'model_name varchar, code varchar, build_number bigint',
            'loaded_files': 'source varchar, source_file varchar, n_bytes bigint,
                modified_at timestamp, arrived_at timestamp, log_id varchar, build_number bigint',
            'pending_files': 'source varchar, source_file varchar, n_bytes bigint,
                modified_at timestamp, arrived_at timestamp, is_named boolean',
            'changed_inputs': 'search_key varchar, build_number bigint',
            'changed_visits': 'visitor varchar, range_start timestamp, range_end timestamp,
                build_number bigint',
            'changed_searches': 'search_id varchar, build_number bigint',
            'changed_sessions': 'session_id varchar, visitor varchar, build_number bigint',
            'changed_deployments': 'deployment_id varchar, build_number bigint',
            'seen_deployments': 'deployment_id varchar, fingerprint varchar',
            'forgotten_visitors': 'kind varchar, id_hash varchar, salt varchar,
                forgotten_at timestamp',
            'validation_results': 'run_id varchar, run_at timestamp, expectation_id varchar,
                gate varchar, table_name varchar, column_name varchar, expectation varchar,
                expected varchar, severity varchar, status varchar, is_success boolean,
                observed varchar, observed_value double, unexpected_count bigint,
                reason varchar',
        } %}
        {% do run_query('create schema if not exists flywheel_state') %}
        {% for name, columns in tables.items() %}
            {% do run_query('create table if not exists flywheel_state.' ~ name ~ ' (' ~ columns ~ ')') %}
        {% endfor %}
    {% endif %}
{% endmacro %}
