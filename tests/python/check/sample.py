"""The sample build that `make check` keeps, and brings up to date with what changed.

It is a home of its own: a warehouse built of the shipped sample log, and the manifest of the
project as it was when everything in the warehouse last passed. A build that fails or is
interrupted leaves that manifest, so what it was about is selected again.
"""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from check import PROJECT
from check.changes import Tree, changed, recorded, remember
from check.lint import is_parsed
from check.steps import Step, python

# Of itself dbt leaves out unit tests (selectors.yml).
EVERYTHING = ("--selector", "everything")
FULL = "the whole sample: there is no build of it, or none to go on from"
# Changed models and those that read them directly. A test that also reads others runs only if
# everything below it is built: the models further down still hold what they held before.
SELECTION = ("--select", "state:modified+1", "--indirect-selection", "buildable")


@dataclass(frozen=True)
class Sample:
    """A folder with a built sample.

    Attributes:
        folder: home of the build.
    """

    folder: Path

    @property
    def warehouse(self) -> Path:
        """The built sample."""
        return self.folder / "warehouse.duckdb"

    @property
    def manifest(self) -> Path:
        """The project whose models the warehouse holds."""
        return self.folder / "state" / "manifest.json"

    @property
    def record(self) -> Path:
        """The files of that project."""
        return self.folder / "state" / "tree.json"

    @property
    def tried(self) -> Path:
        """The files that changed in builds since, none of which passed."""
        return self.folder / "state" / "tried.json"

    def step(self, tree: Tree) -> Step:
        """What brings the warehouse up to date, tests included; to be run.

        Args:
            tree: the project's files now.
        """
        is_there = all(path.exists() for path in (self.warehouse, self.manifest, self.record))
        paths = changed(PROJECT, tree, self.record) if is_there else frozenset()
        # Taken back after a failure: the warehouse may hold what no manifest knows of.
        is_lost = any(map(_is_built, (recorded(self.tried) or {}).keys() - paths))
        if not is_there or is_lost or "requirements.lock" in paths:
            # Nothing of an older or unfinished build may stand in for a model.
            for file in self.folder.glob("warehouse.duckdb*"):
                file.unlink()
            shutil.rmtree(self.folder / "state", ignore_errors=True)
            return self._build(EVERYTHING, tree, note=FULL)
        if not any(map(_is_built, paths)):
            return Step("sample build", note="nothing that dbt reads changed")
        # As on a fresh clone: rows that an incremental model kept were made by its former SQL.
        before = recorded(self.tried) or {}
        remember(self.tried, before | {path: tree.get(path, "") for path in paths})
        selection = (*SELECTION, "--state", str(self.manifest.parent), "--full-refresh")
        return self._build(selection, tree, note="changed models, those that read them, tests")

    def _build(self, selection: Iterable[str], tree: Tree, *, note: str) -> Step:
        self.folder.mkdir(parents=True, exist_ok=True)
        return Step(
            "sample build",
            python("-c", "from dbt.cli.main import cli; cli()", "--quiet", "build", *selection),
            {
                "FLYWHEEL_PROJECT": str(PROJECT),
                "FLYWHEEL_HOME": str(self.folder),
                "FLYWHEEL_DB": str(self.warehouse),
                "DBT_PROFILES_DIR": str(PROJECT),
                "DBT_TARGET_PATH": str(self.folder / "target"),
                "DBT_LOG_PATH": str(self.folder / "logs"),
                "DO_NOT_TRACK": "1",
            },
            passed=lambda: self._accept(tree),
            note=note,
        )

    def _accept(self, tree: Tree) -> None:
        self.manifest.parent.mkdir(parents=True, exist_ok=True)
        part = self.manifest.with_suffix(f".{os.getpid()}.part")
        shutil.copyfile(self.folder / "target" / "manifest.json", part)
        part.replace(self.manifest)
        remember(self.record, tree)
        self.tried.unlink(missing_ok=True)


def _is_built(path: str) -> bool:
    return is_parsed(path) and not path.startswith(("python/", "analyses/", "docs/"))
