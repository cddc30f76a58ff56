"""What the tests share: a flywheel of their own, built by a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from simulated import small_world, write_flat

PROJECT = Path(__file__).resolve().parents[2]
BEHAVIOR = "+path:models/marts/behavior"
"""Selects everything up to the behaviour marts: the whole input side and nothing else."""


@dataclass(frozen=True)
class Run:
    """A finished process: its exit status, everything it printed, and its standard output alone."""

    status: int
    output: str
    stdout: str


@dataclass(frozen=True)
class Flywheel:
    """One flywheel in a folder of its own.

    A build runs in a process of its own, as it does for users: dbt keeps its connection open for
    the life of a process, and a DuckDB file has one writer.
    """

    home: Path

    @property
    def database(self) -> Path:
        return self.home / "warehouse.duckdb"

    def command(self, *arguments: str, cwd: Path = PROJECT) -> Run:
        """Run `flywheel ARGUMENTS`."""
        return self._run([sys.executable, "-m", "flywheel", *arguments], cwd)

    def dbt(self, *arguments: str, **variables: Any) -> Run:
        """Run `dbt ARGUMENTS --vars VARIABLES`."""
        given = yaml.safe_dump({"ranking_features": "", **_plain(variables)})
        return self.plain_dbt(*arguments, "--vars", given)

    def plain_dbt(self, *arguments: str) -> Run:
        """Run `dbt ARGUMENTS` with the project's own vars."""
        starter = (sys.executable, "-c", "from dbt.cli.main import cli; cli()")
        return self._run([*starter, *arguments], PROJECT)

    def build(self, *, select: str = BEHAVIOR, **variables: Any) -> Run:
        """Run `dbt build` on the vars, and fail the test with its output if it fails."""
        # Tests that also read models outside the selection belong to another build, and unit tests
        # to the sample's.
        selection = ("--indirect-selection", "cautious", "--select", *select.split())
        without = ("--exclude-resource-type", "unit_test")
        run = self.dbt("build", "--quiet", *selection, *without, **variables)
        assert run.status == 0, run.output
        return run

    @contextmanager
    def connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The warehouse, to read."""
        connection = duckdb.connect(str(self.database), read_only=True)
        try:
            connection.execute("set TimeZone = 'UTC'")
            yield connection
        finally:
            connection.close()

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with self.connection() as connection:
            return connection.execute(sql, parameters).fetchall()

    def records(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """The rows of a query, each as column -> value."""
        with self.connection() as connection:
            cursor = connection.execute(sql, parameters)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    @property
    def environment(self) -> dict[str, str]:
        """Environment of its processes."""
        return {
            **os.environ,
            "PYTHONPATH": str(PROJECT / "python"),
            "FLYWHEEL_PROJECT": str(PROJECT),
            "FLYWHEEL_HOME": str(self.home),
            "FLYWHEEL_DB": str(self.database),
            "DBT_PROFILES_DIR": str(PROJECT),
            # Apart from the project's own, so that tests may run beside a build.
            "DBT_TARGET_PATH": str(self.home / "target"),
            "DBT_LOG_PATH": str(self.home / "logs"),
            "DO_NOT_TRACK": "1",
            "NO_COLOR": "1",
            "COLUMNS": "200",
        }

    def _run(self, command: list[str], cwd: Path) -> Run:
        self.home.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            command, cwd=cwd, env=self.environment, capture_output=True, text=True, timeout=280
        )
        return Run(done.returncode, done.stdout + done.stderr, done.stdout)


@dataclass(frozen=True)
class Turned:
    """A flywheel after its first turn, and what the turn printed."""

    flywheel: Flywheel
    run: Run
    log: Path
    features: Path

    @property
    def version(self) -> str:
        """The model of that turn."""
        ((version,),) = self.flywheel.rows("select model_version from dim_model_versions")
        return version


@pytest.fixture(scope="session")
def make_flywheel(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Flywheel]:
    """Makes flywheels whose folders live as long as the tests."""
    return lambda name: Flywheel(tmp_path_factory.mktemp(name))


@pytest.fixture(scope="session")
def sample(make_flywheel: Callable[[str], Flywheel]) -> Flywheel:
    """The shipped sample log, built as on a fresh clone: every model, every data and unit test."""
    built = make_flywheel("sample")
    run = built.plain_dbt("build", "--selector", "everything")
    assert run.status == 0, run.output
    return built


@pytest.fixture(scope="session")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Turned:
    """One turn on a flat log of the six required columns, after one that was killed in its build.

    Every path needs quoting. Whoever changes it works on a copy.
    """
    from killing import Process, exists

    folder = tmp_path_factory.mktemp('it\'s a "flat" one')
    world = small_world()
    log = write_flat(world, folder / "my log's folder" / "flat log.parquet")
    features = world.write_features(folder / "the 'features' file.parquet")
    flywheel = Flywheel(folder / 'my "home\'s" place')
    arguments = [
        *("run", "--log", str(log), "--features", str(features)),
        *("--no-tests", "--no-validation"),
    ]
    killed = Process(flywheel, ["-m", "flywheel", *arguments], folder / "killed.txt")
    # The warehouse exists, so dbt is in the middle of its models.
    assert killed.kill_when(exists("warehouse.duckdb"), 0.7), killed.said
    assert not (flywheel.home / "vars.json").exists()
    turn = flywheel.command(*arguments)
    assert turn.status == 0, turn.output
    assert "Traceback" not in turn.output
    return Turned(flywheel, turn, log, features)


@pytest.fixture
def flywheel(tmp_path: Path) -> Flywheel:
    """A flywheel for one test, its folder empty."""
    return Flywheel(tmp_path / "home")


def _plain(variables: Mapping[str, Any]) -> dict[str, Any]:
    return {k: str(v) if isinstance(v, Path) else v for k, v in variables.items()}
