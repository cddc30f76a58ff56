"""Sets right what a killed run left between files and tables."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from flywheel import deployment
from flywheel.files import TEMPORARY_PREFIX
from flywheel.registry.files import PENDING, SNAPSHOT_NAME, is_pending_here, verify_files
from flywheel.registry.manifest import publish_manifest
from flywheel.registry.reading import missing_tables, read_state
from flywheel.registry.records import RegistryState
from flywheel.registry.states import CANARY, CHAMPION
from flywheel.settings import Settings
from flywheel.warehouse import connect


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
        if missing_tables(connection):
            return RepairReport()
        registry = read_state(connection)
        removed, unregistered = _remove_leftovers(settings, registry)
        manifest = registry.manifest()
        differs = not deployment.says_the_same(deployment.read_manifest(settings), manifest)
        if differs:
            publish_manifest(settings, registry)
        if verify:
            for model in registry.versions.values():
                if model.state in (CHAMPION, CANARY):
                    verify_files(settings, model)
    return RepairReport(tuple(removed), differs, tuple(unregistered))


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
        elif is_pending_here(settings, path) or (
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
        for pattern in (SNAPSHOT_NAME.format("s*"), f"{TEMPORARY_PREFIX}*")
        for path in sorted(folder.glob(pattern))
        if path.relative_to(settings.home).as_posix() not in told
    ]
    for path in untold:
        path.unlink(missing_ok=True)
    return [str(path.relative_to(settings.home)) for path in untold]
