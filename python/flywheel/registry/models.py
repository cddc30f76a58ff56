"""Puts models into the registry, and takes those out that no user will see."""

import shutil
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flywheel.errors import FlywheelError
from flywheel.files import sync_folder
from flywheel.registry.files import PENDING, describe, publish_folder, stage_files
from flywheel.registry.ledger import change, moment, move, transaction
from flywheel.registry.manifest import publish_manifest
from flywheel.registry.reading import read_state
from flywheel.registry.records import BEHAVIOR, ModelVersion, Registrable
from flywheel.registry.rows import insert_snapshot, insert_version
from flywheel.registry.states import CHALLENGER, RETIRED
from flywheel.settings import Settings


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
    with change(settings) as connection:
        state = read_state(connection)
        folder = settings.models / model.version
        staged = stage_files(settings, connection, model)
        try:
            files = describe(settings, folder, staged.folder, staged.names)
            artifact = files["model"]
            if model.version in state.versions:
                known = state.versions[model.version]
                if known.artifact_sha256 != artifact.sha256:
                    raise FlywheelError(
                        f"Model version {model.version} is registered with other content; "
                        "train with another seed, or on another window."
                    )
                return known
            publish_folder(settings, staged.folder, folder)
        finally:
            shutil.rmtree(staged.folder, ignore_errors=True)
        with transaction(connection):
            insert_version(connection, model, files, moment(at))
            if BEHAVIOR in files:
                insert_snapshot(connection, state, model.version, files[BEHAVIOR], at)
            move(connection, model.version, CHALLENGER, at=at, reason=reason, evidence={})
        (folder / PENDING).unlink(missing_ok=True)
        sync_folder(folder)
        state = read_state(connection)
        publish_manifest(settings, state)
        return state.version(model.version)


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
    with change(settings) as connection:
        model = read_state(connection).version(version)
        if model.state != CHALLENGER:
            raise FlywheelError(
                f"Model version {version} is {model.state}; only a challenger can be retired "
                "by hand."
            )
        with transaction(connection):
            move(connection, version, RETIRED, at=at, reason=reason, evidence=evidence or {})
        state = read_state(connection)
        publish_manifest(settings, state)
        return state.version(version)
