"""The model registry: which model is champion, which is on trial, and how each got there.

The tables in `flywheel_state` are the truth. A model's files are in place before its row is
written, the rows of one change are written in one transaction, and `deployment.json` is written
after it; whatever a killed run leaves between those steps, `repair` sets right.

Only one process can write the warehouse, so whoever holds a connection (`repair` included, which
only reads) knows that nobody else is in the middle of a change.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import duckdb

from flywheel import deployment
from flywheel.deployment import LOGGED_ORDER, Deployment, ModelFile, utc_now
from flywheel.errors import FlywheelError
from flywheel.files import (
    TEMPORARY_PREFIX,
    atomic_path,
    sha256_bytes,
    sha256_file,
    sync_file,
    sync_folder,
    write_atomic,
)
from flywheel.ranker.features import FeatureList, export_snapshot, snapshot_moment
from flywheel.settings import Settings
from flywheel.warehouse import connect

CHALLENGER = "challenger"
LATEST = "latest"
CANARY = "canary"
CHAMPION = "champion"
RETIRED = "retired"
ROLLED_BACK = "rolled_back"
UNREGISTERED = "unregistered"
RAMPED = "ramped"
"""Outcome of a deployment that a larger share of the same canary took over from."""

# Every move a model can make; whatever is not here is refused.
ALLOWED_MOVES: frozenset[tuple[str | None, str]] = frozenset(
    {
        (None, CHALLENGER),
        (CHALLENGER, CANARY),
        (CHALLENGER, RETIRED),
        (CANARY, CANARY),  # to a larger share of the users
        (CANARY, CHAMPION),
        (CANARY, ROLLED_BACK),
        (CANARY, RETIRED),
        (CHAMPION, RETIRED),
        (CHAMPION, ROLLED_BACK),
        (RETIRED, CHAMPION),
        # fresher behavioural features
        (CANARY, CANARY),
        (CHAMPION, CHAMPION),
    }
)

PENDING = "PENDING"
BEHAVIOR = "behavior"
_SNAPSHOT_NAME = "behavior-{}.parquet"
_STATE_TABLES = ("model_versions", "registry_events", "deployments", "behavior_snapshots")


class Registrable(Protocol):
    """What `register` needs to know about a model."""

    version: str
    window_start: datetime
    window_end: datetime
    fingerprint: str

    @property
    def feature_names(self) -> Sequence[str]:
        """Columns in the order the model reads them."""

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Numbers about the training, for the table."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What it takes to train the same model again."""

    def write_files(self, connection: duckdb.DuckDBPyConnection, folder: Path) -> Mapping[str, str]:
        """Write the model's files into `folder`; return their names by role ('model', ...)."""


@dataclass(frozen=True)
class Snapshot:
    """Behavioural features that a model is, or was, served with.

    Attributes:
        snapshot_id: sorts in order of creation.
        model_version: the model whose features it holds.
        as_of: naive UTC end of what it knows; None where the warehouse has no windows.
        file: in the model's folder.
        created_at: naive UTC.
    """

    snapshot_id: str
    model_version: str
    as_of: datetime | None
    file: ModelFile
    created_at: datetime


@dataclass(frozen=True)
class ModelVersion:
    """A registered model: its row, the state its events leave it in, its newest snapshot."""

    version: str
    state: str
    registered_at: datetime
    window_start: datetime
    window_end: datetime
    fingerprint: str
    artifact_path: str
    artifact_sha256: str
    features: tuple[str, ...]
    metrics: dict[str, Any]
    params: dict[str, Any]
    files: dict[str, ModelFile]
    snapshot: Snapshot | None = None

    @property
    def refit_of(self) -> str | None:
        """The judged model whose recipe was fitted again on the whole log; None for others."""
        return self.params.get("refit_of")


@dataclass(frozen=True)
class Event:
    """One move of one model. `event_id` gives the order, whatever the clocks said."""

    event_id: str
    event_at: datetime
    model_version: str
    from_state: str | None
    to_state: str
    reason: str
    evidence: dict[str, Any]


@dataclass(frozen=True)
class RepairReport:
    """What `repair` found and did.

    Attributes:
        removed: files and folders that a killed run had left.
        manifest_rewritten: `deployment.json` did not say what the tables say.
        unregistered: model folders that no run of this warehouse left; they stay untouched.
    """

    removed: tuple[str, ...] = ()
    manifest_rewritten: bool = False
    unregistered: tuple[str, ...] = ()


@dataclass(frozen=True)
class RegistryState:
    """Everything the registry's tables say, in order of event."""

    versions: dict[str, ModelVersion] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()

    @property
    def champions(self) -> tuple[str, ...]:
        """The line of champions, the first one first, without those rolled back; last = current.

        A promotion adds to the line and a roll-back takes the last one off, so whatever comes
        before the last is what a roll-back restores.
        """
        line: list[str] = []
        for event in self.events:
            if event.to_state == CHAMPION and event.from_state == CANARY:
                line.append(event.model_version)
            elif event.from_state == CHAMPION and event.to_state == ROLLED_BACK:
                line.remove(event.model_version)
        return tuple(line)

    @property
    def champion(self) -> str:
        """Version of the champion; 'logged' where no model has been promoted."""
        return self.champions[-1] if self.champions else LOGGED_ORDER

    @property
    def previous_champion(self) -> str:
        """What a roll-back of the champion restores."""
        return self.champions[-2] if len(self.champions) > 1 else LOGGED_ORDER

    @property
    def running(self) -> Deployment | None:
        """The canary deployment under way."""
        return next((d for d in self.deployments if d.ended_at is None), None)

    @property
    def challenger(self) -> str | None:
        """The newest model that has not been decided about: challenger or canary."""
        open_versions = [v for v in self.versions.values() if v.state in (CHALLENGER, CANARY)]
        return open_versions[-1].version if open_versions else None

    def version(self, name: str) -> ModelVersion:
        """A registered model.

        Raises:
            FlywheelError: there is none of that name.
        """
        if name in self.versions:
            return self.versions[name]
        known = ", ".join(self.versions) or "none yet"
        raise FlywheelError(
            f"There is no model version '{name}'; registered are: {known}. "
            "`flywheel status` lists them."
        )

    def manifest(self, written_at: datetime | None = None) -> dict[str, Any]:
        """The deployment manifest that belongs to this state."""
        running = self.running
        if written_at is None:
            written_at = self.events[-1].event_at if self.events else utc_now()
        champion = None if self.champion == LOGGED_ORDER else self.version(self.champion)
        canary = self.version(running.challenger_version) if running else None
        return deployment.build_manifest(
            champion=self.champion,
            champion_files=champion.files if champion else None,
            champion_snapshot=_snapshot_id(champion),
            running=running,
            canary_files=canary.files if canary else None,
            canary_snapshot=_snapshot_id(canary),
            latest=self.deployments[-1] if self.deployments else None,
            written_at=written_at,
        )


def register(
    settings: Settings, model: Registrable, *, at: datetime | None = None, reason: str = "trained"
) -> ModelVersion:
    """Put a trained model's files in their place and its row in the registry, as a challenger.

    A model of the same name with the same content is left as it is, in whatever state it is.

    Args:
        settings: names the warehouse and the home folder.
        model: what to register, e.g. a `flywheel.ranker.training.TrainedModel`.
        at: naive UTC; default: now.
        reason: goes into the event.

    Raises:
        FlywheelError: the name is taken by another content, or the registry is missing.
    """
    with _change(settings) as connection:
        state = read_state(connection)
        folder = settings.models / model.version
        staged = _stage_files(settings, connection, model)
        try:
            files = _describe(settings, folder, staged.folder, staged.names)
            artifact = files["model"]
            if model.version in state.versions:
                known = state.versions[model.version]
                if known.artifact_sha256 != artifact.sha256:
                    raise FlywheelError(
                        f"Model version {model.version} is registered with other content; "
                        "train with another seed, or on another window."
                    )
                return known
            _publish_folder(settings, staged.folder, folder)
        finally:
            shutil.rmtree(staged.folder, ignore_errors=True)
        with _transaction(connection):
            _insert_version(connection, model, files, _moment(at))
            if BEHAVIOR in files:
                _insert_snapshot(connection, state, model.version, files[BEHAVIOR], at)
            _move(connection, model.version, CHALLENGER, at=at, reason=reason, evidence={})
        (folder / PENDING).unlink(missing_ok=True)
        sync_folder(folder)
        state = read_state(connection)
        _publish_manifest(settings, state)
        return state.version(model.version)


def start_canary(
    settings: Settings,
    version: str,
    share: float,
    *,
    at: datetime | None = None,
    reason: str = "canary started",
    evidence: Mapping[str, Any] | None = None,
    retires: str | None = None,
) -> Deployment:
    """Show a challenger to a share of the users.

    Args:
        settings: names the warehouse and the home folder.
        version: a registered model in state challenger.
        share: of users, between 0 and 1; assignment is in steps of one ten-thousandth.
        at: start of the deployment, naive UTC; default: now.
        reason: goes into the event.
        evidence: numbers behind the decision, kept as JSON.
        retires: the judged model that `version` is a refit of; it makes room in the same step.

    Raises:
        FlywheelError: a canary is running already, the version is unknown or in another state,
            the share is out of range, or a file of the model is damaged.
    """
    if not 0.0001 <= share <= 0.9999:
        raise FlywheelError(
            f"The canary share is {share}; it must lie between 0.0001 and 0.9999 "
            "(0.05 is 5 % of the users)."
        )
    with _change(settings) as connection:
        state = read_state(connection)
        if state.running is not None:
            raise FlywheelError(
                f"Canary {state.running.deployment_id} is still running; promote it, "
                "roll it back or end it before another one starts."
            )
        model = state.version(version)
        verify_files(settings, model)
        number = len(state.deployments) + 1
        deployment_id = deployment.deployment_id_for(number, version)
        started = Deployment(
            deployment_id=deployment_id,
            champion_version=state.champion,
            challenger_version=version,
            salt=deployment.salt_for(deployment_id),
            unit=deployment.UNIT,
            canary_share=share,
            started_at=_moment(at),
        )
        with _transaction(connection):
            details = {"deployment_id": deployment_id, "canary_share": share}
            _move(
                connection,
                version,
                CANARY,
                at=at,
                reason=reason,
                evidence={**details, **(evidence or {})},
            )
            if retires is not None:
                _move(
                    connection,
                    retires,
                    RETIRED,
                    at=at,
                    reason=f"deployed as {version}, refitted up to the end of the log",
                    evidence=details,
                )
            _insert_deployment(connection, started)
        _publish_manifest(settings, read_state(connection))
        return started


def ramp(
    settings: Settings,
    share: float,
    *,
    at: datetime | None = None,
    reason: str = "share raised",
    evidence: Mapping[str, Any] | None = None,
) -> Deployment:
    """Show the running canary to more users: a deployment of its own, with the salt of the first.

    The salt keeps everybody in the canary who is in it; the comparison starts afresh, since days
    of different shares must not be added up.

    Args:
        settings: names the warehouse and the home folder.
        share: of users, above the present one.
        at: naive UTC; default: now.
        reason: goes into the event and the deployment that ends.
        evidence: numbers behind the decision, kept as JSON.

    Raises:
        FlywheelError: no canary is running, or the share is not a larger one.
    """
    with _change(settings) as connection:
        state = read_state(connection)
        running = state.running
        if running is None:
            raise FlywheelError("No canary is running, so there is no share to raise.")
        if not running.canary_share < share <= 0.9999:
            raise FlywheelError(
                f"The canary share is {running.canary_share}; it can be raised to at most 0.9999, "
                f"not to {share}."
            )
        version = running.challenger_version
        raised = replace(
            running,
            deployment_id=deployment.deployment_id_for(len(state.deployments) + 1, version),
            canary_share=share,
            started_at=max(_moment(at), running.started_at),
        )
        with _transaction(connection):
            details = {
                "deployment_id": raised.deployment_id,
                "canary_share": share,
                "raised_from": running.deployment_id,
            }
            _move(
                connection,
                version,
                CANARY,
                at=at,
                reason=reason,
                evidence={**(evidence or {}), **details},
            )
            _end(connection, running, RAMPED, reason, at)
            _insert_deployment(connection, raised)
            # The turn that started the canary is judged by the deployment that decides.
            connection.execute(
                "update flywheel_state.iterations set deployment_id = ? where deployment_id = ?",
                [raised.deployment_id, running.deployment_id],
            )
        _publish_manifest(settings, read_state(connection))
        return raised


def promote(
    settings: Settings,
    version: str | None = None,
    *,
    at: datetime | None = None,
    reason: str = "promoted",
    evidence: Mapping[str, Any] | None = None,
) -> Deployment:
    """Make the running canary the champion and retire the one before it.

    Args:
        settings: names the warehouse and the home folder.
        version: the model that is meant to be the canary; None takes whichever it is.
        at: naive UTC; default: now.
        reason: goes into the events and the deployment.
        evidence: numbers behind the decision, kept as JSON.

    Returns:
        The deployment that has ended.

    Raises:
        FlywheelError: no canary is running, or it is another model, or its files are damaged.
    """
    with _change(settings) as connection:
        state = read_state(connection)
        running = state.running
        if version is not None:
            model = state.version(version)
            if model.state != CANARY:
                raise FlywheelError(
                    f"Model version {version} is {model.state}, not canary; only a canary that "
                    "real users have seen can be promoted. Start it with `flywheel canary`."
                )
        if running is None:
            raise FlywheelError(
                "No canary is running, so there is nothing to promote; start one with "
                "`flywheel canary`."
            )
        verify_files(settings, state.version(running.challenger_version))
        with _transaction(connection):
            if state.champion != LOGGED_ORDER:
                _move(
                    connection,
                    state.champion,
                    RETIRED,
                    at=at,
                    reason=f"replaced by {running.challenger_version}",
                    evidence={"deployment_id": running.deployment_id},
                )
            _move(
                connection,
                running.challenger_version,
                CHAMPION,
                at=at,
                reason=reason,
                evidence={"deployment_id": running.deployment_id, **(evidence or {})},
            )
            _end(connection, running, "promote", reason, at)
        return _finish(settings, connection, running.deployment_id)


def end_canary(
    settings: Settings,
    *,
    at: datetime | None = None,
    reason: str = "inconclusive",
    evidence: Mapping[str, Any] | None = None,
) -> Deployment:
    """End the running canary without a verdict: the challenger retires, the champion stays.

    Raises:
        FlywheelError: no canary is running.
    """
    with _change(settings) as connection:
        running = read_state(connection).running
        if running is None:
            raise FlywheelError("No canary is running, so there is nothing to end.")
        with _transaction(connection):
            _move(
                connection,
                running.challenger_version,
                RETIRED,
                at=at,
                reason=reason,
                evidence={"deployment_id": running.deployment_id, **(evidence or {})},
            )
            _end(connection, running, "inconclusive", reason, at)
        return _finish(settings, connection, running.deployment_id)


def rollback(
    settings: Settings,
    *,
    at: datetime | None = None,
    reason: str = "rolled back",
    evidence: Mapping[str, Any] | None = None,
) -> RegistryState:
    """Take back the newest thing users see.

    A running canary ends and its model is rolled back. Where none is running, the champion is
    rolled back and the one before it (or the logged order) is restored, from the very files it
    had.

    Returns:
        The registry's state afterwards; its `champion` is what everybody sees now.

    Raises:
        FlywheelError: no canary is running and no model is champion, or the files of the
            champion to be restored are damaged.
    """
    with _change(settings) as connection:
        state = read_state(connection)
        running = state.running
        details = dict(evidence or {})
        if running is not None:
            details = {"deployment_id": running.deployment_id, **details}
            with _transaction(connection):
                _move(
                    connection,
                    running.challenger_version,
                    ROLLED_BACK,
                    at=at,
                    reason=reason,
                    evidence=details,
                )
                _end(connection, running, "roll_back", reason, at)
        else:
            if state.champion == LOGGED_ORDER:
                raise FlywheelError(
                    "No canary is running and the champion is the logged order, so there is "
                    "nothing to roll back."
                )
            previous = state.previous_champion
            if previous != LOGGED_ORDER:
                verify_files(settings, state.version(previous))
            with _transaction(connection):
                _move(
                    connection,
                    state.champion,
                    ROLLED_BACK,
                    at=at,
                    reason=reason,
                    evidence={"restored": previous, **details},
                )
                if previous != LOGGED_ORDER:
                    _move(
                        connection,
                        previous,
                        CHAMPION,
                        at=at,
                        reason=f"restored after the roll-back of {state.champion}",
                        evidence=details,
                    )
        state = read_state(connection)
        _publish_manifest(settings, state)
        return state


def retire(
    settings: Settings,
    version: str,
    *,
    at: datetime | None = None,
    reason: str = "retired",
    evidence: Mapping[str, Any] | None = None,
) -> ModelVersion:
    """Retire a challenger that will not be shown to users, e.g. one the offline gate stopped.

    Raises:
        FlywheelError: the version is unknown or is not a challenger.
    """
    with _change(settings) as connection:
        model = read_state(connection).version(version)
        if model.state != CHALLENGER:
            raise FlywheelError(
                f"Model version {version} is {model.state}; only a challenger can be retired "
                "by hand."
            )
        with _transaction(connection):
            _move(connection, version, RETIRED, at=at, reason=reason, evidence=evidence or {})
        state = read_state(connection)
        _publish_manifest(settings, state)
        return state.version(version)


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
    with _change(settings) as connection:
        taken = [
            snapshot
            for model in read_state(connection).versions.values()
            if model.state in (CHAMPION, CANARY)
            if (snapshot := _refresh(settings, connection, model, at)) is not None
        ]
        if taken:
            _publish_manifest(settings, read_state(connection))
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
    path = folder / _SNAPSHOT_NAME.format(_next_snapshot_id(state))
    with atomic_path(path) as temporary:
        export_snapshot(connection, FeatureList(model.features), temporary)
    file = ModelFile(path.relative_to(settings.home).as_posix(), sha256_file(path))
    if file.sha256 == model.files[BEHAVIOR].sha256:
        path.unlink()
        return None
    with _transaction(connection):
        snapshot = _insert_snapshot(connection, state, model.version, file, at)
        _move(
            connection,
            model.version,
            model.state,
            at=at,
            reason=f"behavioural features as of {as_of:%Y-%m-%d %H:%M}",
            evidence={"snapshot_id": snapshot.snapshot_id, "sha256": file.sha256},
        )
    return snapshot


def request_evaluation(
    settings: Settings,
    version: str,
    *,
    window_start: datetime,
    window_end: datetime,
    at: datetime | None = None,
) -> str:
    """Ask the warehouse to evaluate a model against the champion on a window of the log.

    The same question twice gives one row.

    Args:
        settings: names the warehouse.
        version: a registered model.
        window_start: naive UTC, first moment of the evaluation window.
        window_end: naive UTC, first moment after it.
        at: naive UTC; default: now.

    Returns:
        The evaluation's id.
    """
    with _change(settings) as connection:
        state = read_state(connection)
        state.version(version)
        window = (window_start.isoformat(), window_end.isoformat())
        key = json.dumps([version, state.champion, *window]).encode()
        evaluation_id = f"{version}-{sha256_bytes(key)[:12]}"
        with _transaction(connection):
            connection.execute(
                "delete from flywheel_state.evaluations where evaluation_id = ?", [evaluation_id]
            )
            connection.execute(
                "insert into flywheel_state.evaluations (evaluation_id, model_version, "
                "champion_version, window_start, window_end, requested_at) "
                "values (?, ?, ?, ?, ?, ?)",
                [evaluation_id, version, state.champion, window_start, window_end, _moment(at)],
            )
        return evaluation_id


def state(settings: Settings) -> RegistryState:
    """Everything the registry knows."""
    with connect(settings) as connection:
        return read_state(connection)


def champion(settings: Settings) -> str:
    """Version of the champion; 'logged' where no model has been promoted."""
    return state(settings).champion


def current_deployment(settings: Settings) -> Deployment | None:
    """The canary deployment under way, or None."""
    return state(settings).running


def resolve(registry: RegistryState, name: str) -> ModelVersion:
    """Find the model that 'latest', 'champion', 'challenger' or a version names.

    The latest is the one registered last, whatever was decided about it.

    Raises:
        FlywheelError: there is no such model; the logged order is none.
    """
    if name == CHALLENGER:
        if registry.challenger is None:
            raise FlywheelError(
                "There is no challenger: every registered model has been decided about. "
                "Train one with `flywheel train`, or name a version."
            )
        return registry.version(registry.challenger)
    if name == LATEST:
        if not registry.versions:
            raise FlywheelError(
                "There is no model yet; train one with `flywheel run` or `flywheel train`, which "
                "say what is missing where they cannot."
            )
        return list(registry.versions.values())[-1]
    if name in (CHAMPION, LOGGED_ORDER):
        version = registry.champion if name == CHAMPION else LOGGED_ORDER
        if version == LOGGED_ORDER:
            raise FlywheelError(
                "The champion is still the logged order, which has no model to score with; "
                "use `--model latest` or a version, or promote a model first."
            )
        return registry.version(version)
    return registry.version(name)


def verify_files(settings: Settings, model: ModelVersion) -> None:
    """Compare a model's files with the digests in the registry.

    Raises:
        FlywheelError: a file is missing or differs.
    """
    for file in model.files.values():
        path = settings.home / file.path
        advice = (
            f"restore it from a backup, or go back to another model than {model.version} "
            "with `flywheel rollback`."
        )
        try:
            digest = sha256_file(path)
        except OSError as error:
            raise FlywheelError(
                f"The file {path} of {model.state} {model.version} is missing or unreadable; "
                f"{advice}"
            ) from error
        if digest != file.sha256:
            raise FlywheelError(
                f"The file {path} of {model.state} {model.version} is damaged (its sha256 is "
                f"{digest[:12]}…, the registry has {file.sha256[:12]}…); {advice}"
            )


def repair(settings: Settings, *, verify: bool = True) -> RepairReport:
    """Set right what a killed run left between files and tables.

    Every command calls it first, before it opens the warehouse itself. It only reads the
    warehouse: the files follow the tables, never the other way round.

    Args:
        settings: names the warehouse and the home folder.
        verify: also check the files of champion and canary. `rollback` and `status` do without,
            so that a damaged model can be got rid of.

    Raises:
        FlywheelError: a file of the champion or the canary is damaged.
    """
    if not settings.database.exists():
        return RepairReport()
    with connect(settings) as connection:
        if _missing_tables(connection):
            return RepairReport()
        registry = read_state(connection)
        removed, unregistered = _remove_leftovers(settings, registry)
        manifest = registry.manifest()
        differs = not deployment.says_the_same(deployment.read_manifest(settings), manifest)
        if differs:
            _publish_manifest(settings, registry)
        if verify:
            for model in registry.versions.values():
                if model.state in (CHAMPION, CANARY):
                    verify_files(settings, model)
    return RepairReport(tuple(removed), differs, tuple(unregistered))


def read_state(connection: duckdb.DuckDBPyConnection) -> RegistryState:
    """Read the registry through an open connection.

    Raises:
        FlywheelError: the tables do not exist yet.
    """
    missing = _missing_tables(connection)
    if missing:
        raise FlywheelError(
            f"The warehouse has no table flywheel_state.{missing[0]}; run `flywheel build` first."
        )
    events = tuple(
        Event(*row[:6], evidence=json.loads(row[6] or "{}"))
        for row in connection.execute(
            "select event_id, event_at, model_version, from_state, to_state, reason, evidence "
            "from flywheel_state.registry_events order by event_id"
        ).fetchall()
    )
    states = {event.model_version: event.to_state for event in events}
    snapshots = tuple(
        Snapshot(*row[:3], ModelFile(*row[3:5]), row[5])
        for row in connection.execute(
            "select snapshot_id, model_version, as_of, path, sha256, created_at "
            "from flywheel_state.behavior_snapshots order by snapshot_id"
        ).fetchall()
    )
    newest = {snapshot.model_version: snapshot for snapshot in snapshots}
    versions: dict[str, ModelVersion] = {}
    for row in connection.execute(
        "select model_version, registered_at, window_start, window_end, fingerprint, "
        "artifact_path, artifact_sha256, features, metrics, params "
        "from flywheel_state.model_versions"
    ).fetchall():
        params = json.loads(row[9] or "{}")
        files = {role: ModelFile(**file) for role, file in params.get("files", {}).items()}
        snapshot = newest.get(row[0])
        if snapshot is not None:
            files[BEHAVIOR] = snapshot.file
        versions[row[0]] = ModelVersion(
            version=row[0],
            state=states.get(row[0], UNREGISTERED),
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
    deployments = tuple(
        Deployment(*row)
        for row in connection.execute(
            "select deployment_id, champion_version, challenger_version, salt, unit, "
            "canary_share, started_at, ended_at, outcome, reason "
            "from flywheel_state.deployments order by deployment_id"
        ).fetchall()
    )
    # In order of registration, which is the order of each version's first event.
    names = [name for name in states if name in versions]
    names += sorted(name for name in versions if name not in states)
    return RegistryState(
        versions={name: versions[name] for name in names},
        events=events,
        deployments=deployments,
        snapshots=snapshots,
    )


@dataclass(frozen=True)
class _Staged:
    folder: Path
    names: dict[str, str]


@contextmanager
def _change(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    if not settings.database.exists():
        raise FlywheelError(
            f"There is no warehouse at {settings.database}; run `flywheel build` first."
        )
    with connect(settings, read_only=False) as connection:
        yield connection


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.begin()
    try:
        yield
        _check_invariants(read_state(connection))
        connection.commit()
    except BaseException:
        connection.rollback()
        raise


def _check_invariants(registry: RegistryState) -> None:
    """Refuse to commit a state that no sequence of commands may lead to."""
    states = {name: model.state for name, model in registry.versions.items()}
    champions = [name for name, model_state in states.items() if model_state == CHAMPION]
    canaries = [name for name, model_state in states.items() if model_state == CANARY]
    running = [d.challenger_version for d in registry.deployments if d.ended_at is None]
    expected = [] if registry.champion == LOGGED_ORDER else [registry.champion]
    if champions != expected or canaries != running or len(running) > 1:
        raise FlywheelError(
            "The registry would contradict itself "
            f"(champions {champions}, canaries {canaries}, running {running}); nothing was changed."
        )


def _move(
    connection: duckdb.DuckDBPyConnection,
    version: str,
    to_state: str,
    *,
    at: datetime | None,
    reason: str,
    evidence: Mapping[str, Any],
) -> None:
    """Write one event: the only way a model changes its state."""
    registry = read_state(connection)
    current = registry.version(version).state
    from_state = None if current == UNREGISTERED else current
    if (from_state, to_state) not in ALLOWED_MOVES:
        raise FlywheelError(f"Model version {version} is {current} and cannot become {to_state}.")
    event_at = _moment(at)
    details = dict(evidence)
    if registry.events and event_at < registry.events[-1].event_at:
        # The ledger never runs backwards: a simulated clock may be behind the real one.
        details["asked_at"] = event_at.isoformat()
        event_at = registry.events[-1].event_at
    connection.execute(
        "insert into flywheel_state.registry_events (event_id, event_at, model_version, "
        "from_state, to_state, reason, evidence) values (?, ?, ?, ?, ?, ?, ?)",
        [
            f"e{len(registry.events) + 1:08d}",
            event_at,
            version,
            from_state,
            to_state,
            reason,
            json.dumps(details, sort_keys=True, default=str),
        ],
    )


def _insert_deployment(connection: duckdb.DuckDBPyConnection, started: Deployment) -> None:
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


def _end(
    connection: duckdb.DuckDBPyConnection,
    running: Deployment,
    outcome: str,
    reason: str,
    at: datetime | None,
) -> None:
    ended_at = max(_moment(at), running.started_at)
    connection.execute(
        "update flywheel_state.deployments set ended_at = ?, outcome = ?, reason = ? "
        "where deployment_id = ?",
        [ended_at, outcome, reason, running.deployment_id],
    )


def _finish(
    settings: Settings, connection: duckdb.DuckDBPyConnection, deployment_id: str
) -> Deployment:
    registry = read_state(connection)
    _publish_manifest(settings, registry)
    return next(d for d in registry.deployments if d.deployment_id == deployment_id)


def _publish_manifest(settings: Settings, registry: RegistryState) -> None:
    event_id = registry.events[-1].event_id if registry.events else None
    deployment.publish(settings, registry.manifest(), event_id)


def _insert_version(
    connection: duckdb.DuckDBPyConnection,
    model: Registrable,
    files: Mapping[str, ModelFile],
    registered_at: datetime,
) -> None:
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


def _insert_snapshot(
    connection: duckdb.DuckDBPyConnection,
    registry: RegistryState,
    version: str,
    file: ModelFile,
    at: datetime | None,
) -> Snapshot:
    snapshot = Snapshot(
        snapshot_id=_next_snapshot_id(registry),
        model_version=version,
        as_of=snapshot_moment(connection),
        file=file,
        created_at=_moment(at),
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


def _next_snapshot_id(registry: RegistryState) -> str:
    return f"s{len(registry.snapshots) + 1:06d}"


def _snapshot_id(model: ModelVersion | None) -> str | None:
    return model.snapshot.snapshot_id if model and model.snapshot else None


def _stage_files(
    settings: Settings, connection: duckdb.DuckDBPyConnection, model: Registrable
) -> _Staged:
    """Write the model's files, and the mark of an unfinished registration, beside their place."""
    folder = settings.models / f"{TEMPORARY_PREFIX}{model.version}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        write_atomic(folder / PENDING, f"{settings.database}\n".encode())
        names = dict(model.write_files(connection, folder))
        for name in names.values():
            sync_file(folder / name)
        sync_folder(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return _Staged(folder, names)


def _describe(
    settings: Settings, folder: Path, staged: Path, names: Mapping[str, str]
) -> dict[str, ModelFile]:
    relative = folder.relative_to(settings.home).as_posix()
    return {
        role: ModelFile(f"{relative}/{name}", sha256_file(staged / name))
        for role, name in names.items()
    }


def _publish_folder(settings: Settings, staged: Path, folder: Path) -> None:
    """Move the staged files to their place; no row names them yet."""
    if folder.exists():
        if not _is_pending_here(settings, folder) and not _same_files(staged, folder):
            raise FlywheelError(
                f"The folder {folder} holds other files than the model {folder.name} and is not "
                "in this warehouse's registry; move it away and train again."
            )
        shutil.rmtree(folder)
    os.rename(staged, folder)
    sync_folder(settings.models)


def _same_files(staged: Path, folder: Path) -> bool:
    def digests(path: Path) -> dict[str, str]:
        return {f.name: sha256_file(f) for f in path.iterdir() if f.name != PENDING}

    return digests(staged) == digests(folder)


def _is_pending_here(settings: Settings, folder: Path) -> bool:
    try:
        return (folder / PENDING).read_text().strip() == str(settings.database)
    except OSError:
        return False


def _remove_leftovers(settings: Settings, registry: RegistryState) -> tuple[list[str], list[str]]:
    """Remove what a killed run of this warehouse left, and nothing else.

    A model folder without the mark is somebody's model (of a warehouse that was deleted, say):
    it is only reported.
    """
    removed: list[str] = []
    unregistered: list[str] = []
    for folder in (settings.home, deployment.history_folder(settings)):
        for path in sorted(folder.glob(f"{TEMPORARY_PREFIX}*")):
            if path.is_file():
                path.unlink(missing_ok=True)
                removed.append(str(path.relative_to(settings.home)))
    for path in sorted(settings.models.glob("*")) if settings.models.is_dir() else ():
        if not path.is_dir():
            continue
        mark = path / PENDING
        if path.name in registry.versions:
            mark.unlink(missing_ok=True)
            removed += _remove_untold_snapshots(settings, path, registry)
        elif _is_pending_here(settings, path) or (
            path.name.startswith(TEMPORARY_PREFIX) and not mark.exists()
        ):
            shutil.rmtree(path, ignore_errors=True)
            removed.append(str(path.relative_to(settings.home)))
        elif not path.name.startswith(TEMPORARY_PREFIX):
            unregistered.append(str(path.relative_to(settings.home)))
    return removed, unregistered


def _remove_untold_snapshots(
    settings: Settings, folder: Path, registry: RegistryState
) -> list[str]:
    """Remove a model's snapshots that no row names: a refresh was killed before its commit."""
    told = {snapshot.file.path for snapshot in registry.snapshots}
    untold = [
        path
        for pattern in (_SNAPSHOT_NAME.format("s*"), f"{TEMPORARY_PREFIX}*")
        for path in sorted(folder.glob(pattern))
        if path.relative_to(settings.home).as_posix() not in told
    ]
    for path in untold:
        path.unlink(missing_ok=True)
    return [str(path.relative_to(settings.home)) for path in untold]


def _missing_tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    present = {
        row[0]
        for row in connection.execute(
            "select table_name from duckdb_tables() where schema_name = 'flywheel_state'"
        ).fetchall()
    }
    return [name for name in _STATE_TABLES if name not in present]


def _moment(at: datetime | None) -> datetime:
    if at is None:
        return utc_now()
    return at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
