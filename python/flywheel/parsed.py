"""The parsed project, kept between commands: dbt needs seconds to parse it, and it rarely changes.

No var shapes what dbt parses (`flywheel.contract.policy` sees to that), so one manifest serves
every run on whatever log. It is kept in the project's target folder, beside dbt's own cache, under
a name made of everything that does shape it.
"""

import hashlib
import os
from argparse import Namespace
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flywheel.files import write_atomic
from flywheel.settings import Settings

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

FOLDERS = ("models", "macros", "seeds", "tests", "analyses")
FILES = ("dbt_project.yml", "profiles.yml", "selectors.yml")
PACKAGES = ("dbt-core", "dbt-adapters", "dbt-duckdb")
KEPT = 4
"""Manifests kept in a folder; the oldest make room for new ones."""

_PREFIX = "flywheel-manifest-"
_loaded: dict[str, "Manifest"] = {}


def key(settings: Settings) -> str:
    """What the manifest depends on, as a hexadecimal hash.

    These are the content of each file that dbt parses, the versions of dbt, the project's folder
    (seeds are loaded from there), the target, and the catalog, which is named as the warehouse's
    file is and stands in the name of each relation.
    """
    digest = hashlib.sha256()
    parts = [f"{name} {version(name)}" for name in PACKAGES]
    parts += [str(settings.project), settings.database.stem]
    parts.append(os.environ.get("FLYWHEEL_TARGET", ""))
    digest.update("\0".join(parts).encode())
    for path in _files(settings.project):
        name = path.relative_to(settings.project).as_posix()
        digest.update(f"\0{name}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:32]


def load(settings: Settings) -> "Manifest | None":
    """The manifest of the project as it is now, or None where nobody has parsed it yet.

    Within a process it is one object, however often it is asked for: runs write into it only what
    they compile, and compile it anew.
    """
    wanted = key(settings)
    if wanted in _loaded:
        return _loaded[wanted]
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    for folder in _folders(settings):
        try:
            data = (folder / f"{_PREFIX}{wanted}.msgpack").read_bytes()
            found = Manifest.from_msgpack(data, decoder=extended_mashumuro_decoder)
        except Exception:  # absent, cut or from elsewhere: parsing again mends it
            continue
        found.build_flat_graph()
        found.build_parent_and_child_maps()
        found.build_group_map()
        _loaded[wanted] = found
        return found
    return None


def keep(settings: Settings, manifest: "Manifest") -> None:
    """Keep a manifest that dbt has just parsed with the vars of dbt_project.yml.

    Where neither the project nor the home folder can be written, only this process has it.
    """
    from dbt.parser.manifest import extended_mashumaro_encoder

    wanted = key(settings)
    _loaded[wanted] = manifest
    data = manifest.to_msgpack(extended_mashumaro_encoder)
    for folder in _folders(settings):
        try:
            write_atomic(folder / f"{_PREFIX}{wanted}.msgpack", data)
            _make_room(folder)
        except OSError:
            continue
        return


def as_json(manifest: "Manifest") -> dict[str, Any]:
    """The content that dbt would write as manifest.json."""
    from dbt.flags import get_flags, set_flags

    if not hasattr(get_flags(), "SEND_ANONYMOUS_USAGE_STATS"):
        # Metadata name it, and no dbt command has set it yet in this process.
        set_flags(Namespace(SEND_ANONYMOUS_USAGE_STATS=False))
    return dict(manifest.writable_manifest().to_dict(omit_none=False))


def _files(project: Path) -> Iterator[Path]:
    """What dbt reads of a project, in one order; the Python under tests/ is none of it."""
    for name in FILES:
        if (project / name).is_file():
            yield project / name
    for folder in FOLDERS:
        for path in sorted((project / folder).rglob("*")):
            if path.suffix in (".sql", ".yml", ".yaml", ".csv", ".md") and path.is_file():
                yield path


def _folders(settings: Settings) -> tuple[Path, Path]:
    return settings.project / "target", settings.home / "target"


def _make_room(folder: Path) -> None:
    def age(path: Path) -> float:
        return -path.stat().st_mtime

    for path in sorted(folder.glob(f"{_PREFIX}*.msgpack"), key=age)[KEPT:]:
        path.unlink(missing_ok=True)
