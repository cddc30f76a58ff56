"""Writes the rows of models, deployments and snapshots."""

import json
from collections.abc import Mapping
from datetime import datetime

import duckdb

from flywheel.deployment import Deployment, ModelFile
from flywheel.ranker.features import snapshot_moment
from flywheel.registry.ledger import moment
from flywheel.registry.records import Registrable, RegistryState, Snapshot


def insert_version(
    connection: duckdb.DuckDBPyConnection,
    model: Registrable,
    files: Mapping[str, ModelFile],
    registered_at: datetime,
) -> None:
    """Write a model's row."""
    params = {
        **model.parameters,
        "files": {role: {"path": file.path, "sha256": file.sha256} for role, file in files.items()},
    }
    connection.execute(
        "insert into flywheel_state.model_versions (model_version, registered_at, window_start, "
        "window_end, fingerprint, artifact_path, artifact_sha256, features, metrics, params) "
        "values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            model.version,
            registered_at,
            model.window_start,
            model.window_end,
            model.fingerprint,
            files["model"].path,
            files["model"].sha256,
            json.dumps(list(model.feature_names)),
            json.dumps(dict(model.metrics), sort_keys=True),
            json.dumps(params, sort_keys=True),
        ],
    )


def insert_deployment(connection: duckdb.DuckDBPyConnection, started: Deployment) -> None:
    """Write the row of a deployment that starts."""
    connection.execute(
        "insert into flywheel_state.deployments (deployment_id, champion_version, "
        "challenger_version, salt, unit, canary_share, started_at) values (?, ?, ?, ?, ?, ?, ?)",
        [
            started.deployment_id,
            started.champion_version,
            started.challenger_version,
            started.salt,
            started.unit,
            started.canary_share,
            started.started_at,
        ],
    )


def end(
    connection: duckdb.DuckDBPyConnection,
    running: Deployment,
    outcome: str,
    reason: str,
    at: datetime | None,
) -> None:
    """Close the row of the running deployment."""
    ended_at = max(moment(at), running.started_at)
    connection.execute(
        "update flywheel_state.deployments set ended_at = ?, outcome = ?, reason = ? "
        "where deployment_id = ?",
        [ended_at, outcome, reason, running.deployment_id],
    )


def insert_snapshot(
    connection: duckdb.DuckDBPyConnection,
    registry: RegistryState,
    version: str,
    file: ModelFile,
    at: datetime | None,
) -> Snapshot:
    """Write the row of a model's newest behavioural features."""
    snapshot = Snapshot(
        snapshot_id=next_snapshot_id(registry),
        model_version=version,
        as_of=snapshot_moment(connection),
        file=file,
        created_at=moment(at),
    )
    connection.execute(
        "insert into flywheel_state.behavior_snapshots (snapshot_id, model_version, as_of, path, "
        "sha256, created_at) values (?, ?, ?, ?, ?, ?)",
        [
            snapshot.snapshot_id,
            version,
            snapshot.as_of,
            file.path,
            file.sha256,
            snapshot.created_at,
        ],
    )
    return snapshot


def next_snapshot_id(registry: RegistryState) -> str:
    """The id that the next snapshot gets."""
    return f"s{len(registry.snapshots) + 1:06d}"
