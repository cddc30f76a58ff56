"""Gives the models that users see fresher behavioural features."""

from datetime import datetime

import duckdb

from flywheel.deployment import ModelFile
from flywheel.files import atomic_path, sha256_file
from flywheel.ranker.features import FeatureList, export_snapshot, snapshot_moment
from flywheel.registry.files import SNAPSHOT_NAME
from flywheel.registry.ledger import change, move, transaction
from flywheel.registry.manifest import publish_manifest
from flywheel.registry.reading import read_state
from flywheel.registry.records import BEHAVIOR, ModelVersion, Snapshot
from flywheel.registry.rows import insert_snapshot, next_snapshot_id
from flywheel.registry.states import CANARY, CHAMPION
from flywheel.settings import Settings


def refresh_snapshots(settings: Settings, *, at: datetime | None = None) -> tuple[Snapshot, ...]:
    """Give every model that users see the newest behavioural features.

    Champion and canary alike, so that a canary compares two models and not two days. The files
    before stay where they are: the manifests that named them are kept too.

    Args:
        settings: names the warehouse and the home folder.
        at: naive UTC; default: now.

    Returns:
        The new snapshots; none for a model whose features have not changed, or where the
        warehouse knows less than the snapshot in force (var as_of).

    Raises:
        FlywheelError: the warehouse lacks a feature of a model.
    """
    with change(settings) as connection:
        taken = [
            snapshot
            for model in read_state(connection).versions.values()
            if model.state in (CHAMPION, CANARY)
            if (snapshot := _refresh(settings, connection, model, at)) is not None
        ]
        if taken:
            publish_manifest(settings, read_state(connection))
        return tuple(taken)


def _refresh(
    settings: Settings,
    connection: duckdb.DuckDBPyConnection,
    model: ModelVersion,
    at: datetime | None,
) -> Snapshot | None:
    as_of = snapshot_moment(connection)
    in_force = model.snapshot
    if as_of is None or (in_force and in_force.as_of and as_of < in_force.as_of):
        return None
    state = read_state(connection)
    folder = settings.models / model.version
    path = folder / SNAPSHOT_NAME.format(next_snapshot_id(state))
    with atomic_path(path) as temporary:
        export_snapshot(connection, FeatureList(model.features), temporary)
    file = ModelFile(path.relative_to(settings.home).as_posix(), sha256_file(path))
    if file.sha256 == model.files[BEHAVIOR].sha256:
        path.unlink()
        return None
    with transaction(connection):
        snapshot = insert_snapshot(connection, state, model.version, file, at)
        move(
            connection,
            model.version,
            model.state,
            at=at,
            reason=f"behavioural features as of {as_of:%Y-%m-%d %H:%M}",
            evidence={"snapshot_id": snapshot.snapshot_id, "sha256": file.sha256},
        )
    return snapshot
