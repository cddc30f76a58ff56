"""A model's files: staged beside their place, moved there, compared with their digests."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from flywheel.deployment import ModelFile
from flywheel.errors import FlywheelError
from flywheel.files import TEMPORARY_PREFIX, sha256_file, sync_file, sync_folder, write_atomic
from flywheel.registry.records import ModelVersion, Registrable
from flywheel.settings import Settings

PENDING = "PENDING"
SNAPSHOT_NAME = "behavior-{}.parquet"


@dataclass(frozen=True)
class Staged:
    """A model's files beside their place: the folder, and their names by role."""

    folder: Path
    names: dict[str, str]


def stage_files(
    settings: Settings, connection: duckdb.DuckDBPyConnection, model: Registrable
) -> Staged:
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
    return Staged(folder, names)


def describe(
    settings: Settings, folder: Path, staged: Path, names: Mapping[str, str]
) -> dict[str, ModelFile]:
    """The staged files with their digests, by role, under the names they will have."""
    relative = folder.relative_to(settings.home).as_posix()
    return {
        role: ModelFile(f"{relative}/{name}", sha256_file(staged / name))
        for role, name in names.items()
    }


def publish_folder(settings: Settings, staged: Path, folder: Path) -> None:
    """Move the staged files to their place; no row names them yet."""
    if folder.exists():
        if not is_pending_here(settings, folder) and not _same_files(staged, folder):
            raise FlywheelError(
                f"The folder {folder} holds other files than the model {folder.name} and is not "
                "in this warehouse's registry; move it away and train again."
            )
        shutil.rmtree(folder)
    os.rename(staged, folder)
    sync_folder(settings.models)


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


def _same_files(staged: Path, folder: Path) -> bool:
    def digests(path: Path) -> dict[str, str]:
        return {f.name: sha256_file(f) for f in path.iterdir() if f.name != PENDING}

    return digests(staged) == digests(folder)


def is_pending_here(settings: Settings, folder: Path) -> bool:
    """Whether a run of this warehouse left the folder without registering its model."""
    try:
        return (folder / PENDING).read_text().strip() == str(settings.database)
    except OSError:
        return False
