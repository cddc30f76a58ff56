"""Reads the registry's tables, and what the warehouse makes of them: states and champions."""

import json

import duckdb

from flywheel.deployment import LOGGED_ORDER, Deployment, ModelFile
from flywheel.errors import FlywheelError
from flywheel.registry.records import BEHAVIOR, Event, ModelVersion, RegistryState, Snapshot
from flywheel.registry.states import UNREGISTERED

STATE_TABLES = ("model_versions", "registry_events", "deployments", "behavior_snapshots")
MODELS = "main_intermediate.int_models__moved"


def read_state(connection: duckdb.DuckDBPyConnection) -> RegistryState:
    """Read the registry through an open connection.

    Raises:
        FlywheelError: the tables do not exist yet.
    """
    missing = missing_tables(connection)
    if missing:
        raise FlywheelError(f"The warehouse has no table {missing[0]}; run `flywheel build` first.")
    events = tuple(
        Event(*row[:6], evidence=json.loads(row[6] or "{}"))
        for row in connection.execute(
            "select event_id, event_at, model_version, from_state, to_state, reason, evidence "
            "from flywheel_state.registry_events order by event_id"
        ).fetchall()
    )
    # In order of registration, which is the order of each version's first event.
    registered = dict.fromkeys(event.model_version for event in events)
    snapshots = tuple(
        Snapshot(*row[:3], ModelFile(*row[3:5]), row[5])
        for row in connection.execute(
            "select snapshot_id, model_version, as_of, path, sha256, created_at "
            "from flywheel_state.behavior_snapshots order by snapshot_id"
        ).fetchall()
    )
    newest = {snapshot.model_version: snapshot for snapshot in snapshots}
    versions: dict[str, ModelVersion] = {}
    champion = previous_champion = LOGGED_ORDER
    for *row, state, is_current_champion, previous in connection.execute(
        "select model_version, registered_at, window_start, window_end, fingerprint, "
        "artifact_path, artifact_sha256, features, metrics, params, state, is_current_champion, "
        f"previous_champion from flywheel_state.model_versions inner join {MODELS} "
        "using (model_version)"
    ).fetchall():
        params = json.loads(row[9] or "{}")
        files = {role: ModelFile(**file) for role, file in params.get("files", {}).items()}
        snapshot = newest.get(row[0])
        if snapshot is not None:
            files[BEHAVIOR] = snapshot.file
        versions[row[0]] = ModelVersion(
            version=row[0],
            state=state if row[0] in registered else UNREGISTERED,
            registered_at=row[1],
            window_start=row[2],
            window_end=row[3],
            fingerprint=row[4],
            artifact_path=row[5],
            artifact_sha256=row[6],
            features=tuple(json.loads(row[7] or "[]")),
            metrics=json.loads(row[8] or "{}"),
            params=params,
            files=files,
            snapshot=snapshot,
        )
        if is_current_champion:
            champion, previous_champion = row[0], previous
    deployments = tuple(
        Deployment(*row)
        for row in connection.execute(
            "select deployment_id, champion_version, challenger_version, salt, unit, "
            "canary_share, started_at, ended_at, outcome, reason "
            "from flywheel_state.deployments order by deployment_id"
        ).fetchall()
    )
    names = [name for name in registered if name in versions]
    names += sorted(name for name in versions if name not in registered)
    return RegistryState(
        versions={name: versions[name] for name in names},
        events=events,
        deployments=deployments,
        snapshots=snapshots,
        champion=champion,
        previous_champion=previous_champion,
    )


def missing_tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Those of the tables that the registry reads which do not exist yet."""
    present = {
        row[0]
        for row in connection.execute(
            "select table_name from duckdb_tables() where schema_name = 'flywheel_state'"
        ).fetchall()
    }
    missing = [f"flywheel_state.{name}" for name in STATE_TABLES if name not in present]
    (is_read,) = connection.execute(
        "select count(*) > 0 from duckdb_views() where schema_name || '.' || view_name = ?",
        [MODELS],
    ).fetchone()
    return missing if is_read else [*missing, MODELS]
