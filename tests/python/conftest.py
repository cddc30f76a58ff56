"""What the tests share: a flywheel of their own, built by a process of its own."""

import dataclasses
import fcntl
import gc
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

import warm
from patience import PATIENCE
from simulated import small_world, write_flat

PROJECT = Path(__file__).resolve().parents[2]
BEHAVIOR = "+path:models/marts/behavior"
"""Selects everything up to the behaviour marts: the whole input side and nothing else."""


LONGEST = (
    *("test_contract", "test_cli", "test_incremental", "test_loop", "test_validation"),
    *("test_security", "test_faults", "test_training_sql", "test_forget", "test_bots"),
    *("test_registry", "test_report", "test_bad_input", "test_validation_history"),
    *("test_canary_sql", "test_propensity", "test_ranker", "test_validation_drift"),
    *("test_equivalence", "test_chaos", "test_parsed", "test_mutation"),
)
"""Files that take longest, which begin first: two processes then end at about the same time."""


def pytest_configure() -> None:
    """Look for garbage seldom: a parsed project is half a million objects that all stay."""
    gc.set_threshold(100_000, 20, 50)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first (with --no-loadscope-reorder, which keeps this order)."""
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(LONGEST)))


@dataclass(frozen=True)
class Run:
    """A finished process: its exit status, everything it printed, and its standard output alone."""

    status: int
    output: str
    stdout: str


@dataclass(frozen=True)
class Flywheel:
    """One flywheel in a folder of its own.

    Commands run in processes of their own, as they do for users: dbt keeps its connection open for
    the life of a process, and a DuckDB file has one writer. They are forks of a warm one (`warm`).
    """

    home: Path

    @property
    def database(self) -> Path:
        return self.home / "warehouse.duckdb"

    def command(self, *arguments: str, cwd: Path = PROJECT) -> Run:
        """Run `flywheel ARGUMENTS`."""
        return self._run("flywheel", arguments, cwd)

    def dbt(self, *arguments: str, **variables: Any) -> Run:
        """Run `dbt ARGUMENTS --vars VARIABLES`."""
        given = yaml.safe_dump({"ranking_features": "", **_plain(variables)})
        return self._run("dbt", (*arguments, "--vars", given), PROJECT)

    def plain_dbt(self, *arguments: str) -> Run:
        """Run `dbt ARGUMENTS` with the project's own vars, from nothing, as a person would."""
        self.home.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-c", "from dbt.cli.main import cli; cli()", *arguments],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        return Run(done.returncode, done.stdout + done.stderr, done.stdout)

    def build(self, *, select: str = BEHAVIOR, tests: bool = True, **variables: Any) -> Run:
        """Run `dbt build` on the vars, and fail the test with its output if it fails.

        Args:
            select: dbt selectors.
            tests: run the data tests too; those of a log like any other prove nothing new.
            variables: dbt vars.
        """
        # Tests that also read models outside the selection belong to another build, and unit tests
        # to the sample's.
        selection = ("--indirect-selection", "cautious", "--select", *select.split())
        without = ["--exclude-resource-type", "unit_test"]
        if not tests:
            without += ["--exclude-resource-type", "test"]
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
            # As in `flywheel`'s own builds.
            "DBT_LOG_LEVEL_FILE": "info",
            "DO_NOT_TRACK": "1",
            "NO_COLOR": "1",
            "COLUMNS": "200",
        }

    def _run(self, program: str, arguments: Sequence[Any], cwd: Path) -> Run:
        self.home.mkdir(parents=True, exist_ok=True)
        status, output, errors = warm.run(program, arguments, cwd=cwd, environment=self.environment)
        return Run(status, output + errors, output)


@dataclass(frozen=True)
class Turned:
    """A flywheel after its first turn, and what the turn printed."""

    flywheel: Flywheel
    run: Run
    log: Path
    features: Path

    @property
    def version(self) -> str:
        """The model that goes to users."""
        return self._versions()[0]

    @property
    def judged(self) -> str:
        """The model that passed the gate, of which the other is a refit."""
        return self._versions()[1]

    def _versions(self) -> tuple[str, str]:
        (versions,) = self.flywheel.rows(
            "select model_version, refit_of from dim_model_versions where refit_of is not null"
        )
        return versions


@pytest.fixture(scope="session")
def make_flywheel(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Flywheel]:
    """Makes flywheels whose folders live as long as the tests."""
    return lambda name: Flywheel(tmp_path_factory.mktemp(name))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of a test run have in common."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


def made_once(folder: Path, make: Callable[[], Run]) -> Run:
    """What `make` did, by whichever process came first; the others wait for it.

    Args:
        folder: where it is made. What a failed attempt left is cleared away.
        make: does it, and returns what it printed.
    """
    note = folder.with_name(f"{folder.name}.json")
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not note.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            note.write_text(json.dumps(dataclasses.asdict(make())))
    return Run(**json.loads(note.read_text()))


@pytest.fixture(scope="session")
def sample(shared: Path) -> Flywheel:
    """The shipped sample log, built as on a fresh clone: every model, every data and unit test.

    Only to be read: all processes share it.
    """
    built = Flywheel(shared / "sample")

    def make() -> Run:
        run = built.plain_dbt("build", "--selector", "everything")
        assert run.status == 0, run.output
        return run

    made_once(built.home, make)
    return built


@pytest.fixture(scope="session")
def flat(shared: Path) -> Turned:
    """One turn on a flat log of the six required columns, after one that was killed in its build.

    Every path needs quoting. All processes share it: whoever changes it works on a copy.
    """
    from killing import Process, logged

    folder = shared / 'it\'s a "flat" one'
    log = folder / "my log's folder" / "flat log.parquet"
    features = folder / "the 'features' file.parquet"
    flywheel = Flywheel(folder / 'my "home\'s" place')

    def make() -> Run:
        world = small_world()
        write_flat(world, log)
        world.write_features(features)
        arguments = [
            *("run", "--log", str(log), "--features", str(features)),
            *("--no-tests", "--no-validation"),
        ]
        killed = Process(flywheel, ["-m", "flywheel", *arguments], folder / "killed.txt")
        # In the middle of dbt's models.
        assert killed.kill_when(logged("int_log_searches")), killed.said
        assert flywheel.database.exists()
        assert not (flywheel.home / "vars.json").exists()
        turn = flywheel.command(*arguments)
        assert turn.status == 0, turn.output
        assert "Traceback" not in turn.output
        return turn

    return Turned(flywheel, made_once(folder, make), log, features)


@pytest.fixture
def flywheel(tmp_path: Path) -> Flywheel:
    """A flywheel for one test, its folder empty."""
    return Flywheel(tmp_path / "home")


def _plain(variables: Mapping[str, Any]) -> dict[str, Any]:
    return {k: str(v) if isinstance(v, Path) else v for k, v in variables.items()}
