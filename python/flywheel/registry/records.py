"""What the registry's tables say, as values: models, events, deployments, snapshots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import duckdb

from flywheel import deployment
from flywheel.deployment import LOGGED_ORDER, Deployment, ModelFile, utc_now
from flywheel.errors import FlywheelError
from flywheel.registry.states import CANARY, CHALLENGER

BEHAVIOR = "behavior"
"""Role of the file of behavioural features among a model's files."""


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
class RegistryState:
    """Everything the registry's tables say, in order of event.

    Attributes:
        versions: by name, in order of registration.
        events: every move of a model.
        deployments: each canary at one share.
        snapshots: what models knew of behaviour, and when.
        champion: version of the champion; 'logged' where no model has been promoted.
        previous_champion: what a roll-back of the champion restores.
    """

    versions: dict[str, ModelVersion] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()
    champion: str = LOGGED_ORDER
    previous_champion: str = LOGGED_ORDER

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


def _snapshot_id(model: ModelVersion | None) -> str | None:
    return model.snapshot.snapshot_id if model and model.snapshot else None
