"""SIGKILL at every kind of moment: the next run finds its way, and the registry stays whole.

`FLYWHEEL_CHAOS_KILLS` sets how many turns are killed at a random moment (each with a seed of its
own); the moments that matter most are killed at in every run of the tests.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from conftest import Flywheel, Run
from flywheel import registry
from flywheel.deployment import LOGGED_ORDER, says_the_same
from flywheel.files import TEMPORARY_PREFIX, sha256_file
from flywheel.serving import load_deployment
from simulated import PROJECT, settings_of, small_world, write_flat

RANDOM_KILLS = int(os.environ.get("FLYWHEEL_CHAOS_KILLS", "2"))
PATIENCE = 120.0

# One turn without the build, which takes most of the time of `flywheel run` and is killed apart.
TURN = """
import sys
from flywheel import loop, variables
from flywheel.settings import load_settings
from flywheel.terminal import Terminal

settings = load_settings()
print("ready", flush=True)
loop.turn(settings, variables.remembered(settings), Terminal(), tests=False, gates=False,
          rebuild=False)
"""


@dataclass
class Process:
    """A process in a group of its own, whose output is read as it comes."""

    flywheel: Flywheel
    arguments: list[str]
    output: Path
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.output.parent.mkdir(parents=True, exist_ok=True)
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-u", *self.arguments],
                env={
                    **os.environ,
                    "PYTHONPATH": str(PROJECT / "python"),
                    "FLYWHEEL_PROJECT": str(PROJECT),
                    "FLYWHEEL_HOME": str(self.flywheel.home),
                    "FLYWHEEL_DB": str(self.flywheel.database),
                    "DO_NOT_TRACK": "1",
                },
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def kill_when(self, moment: Callable[["Process"], bool], delay: float = 0.0) -> bool:
        """SIGKILL the whole group `delay` seconds after a moment; False if it had ended before."""
        deadline = time.monotonic() + PATIENCE
        while not moment(self):
            if self.process.poll() is not None or time.monotonic() > deadline:
                break
            time.sleep(0.002)
        time.sleep(delay)
        alive = self.process.poll() is None
        if alive:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return alive

    def finish(self) -> None:
        """Wait for a good end."""
        assert self.process.wait(PATIENCE) == 0, self.said
        assert "Traceback" not in self.said, self.said


def said(word: str) -> Callable[[Process], bool]:
    """The moment after a step's line."""
    return lambda process: bool(re.search(rf"^{word}\b", process.said, re.MULTILINE))


def exists(pattern: str) -> Callable[[Process], bool]:
    """The moment a file appears in the home folder."""
    return lambda process: any(process.flywheel.home.glob(pattern))


def manifest_names_a_canary(process: Process) -> bool:
    """The moment after start_canary's last write."""
    manifest = process.flywheel.home / "deployment.json"
    return manifest.exists() and json.loads(manifest.read_text())["canary"] is not None


def manifest_names_a_champion(process: Process) -> bool:
    """The moment after promote's last write."""
    manifest = json.loads((process.flywheel.home / "deployment.json").read_text())
    return manifest["champion"]["model_version"] != LOGGED_ORDER


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("log")
    world = small_world()
    features = world.write_features(folder / "features.parquet")
    return write_flat(world, folder / "log.parquet"), features


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, log: tuple[Path, Path]) -> Flywheel:
    """A built warehouse without a model, left by a build that follows a killed one."""
    flywheel = Flywheel(tmp_path_factory.mktemp("built") / "home")
    path, features = map(str, log)
    arguments = [
        *("-m", "flywheel", "build", "--no-tests", "--var", "log_format=flat"),
        *("--var", f"flat_log={path}", "--var", f"ranking_features={features}"),
    ]
    killed = Process(flywheel, arguments, flywheel.home / "killed.txt")
    # The warehouse exists, so dbt is in the middle of its models.
    assert killed.kill_when(exists("warehouse.duckdb"), random.Random(1).uniform(0.5, 2.5))
    assert not (flywheel.home / "vars.json").exists()
    Process(flywheel, arguments, flywheel.home / "built.txt").finish()
    return flywheel


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, built: Flywheel) -> Flywheel:
    """The same after a turn that nobody killed: a canary runs."""
    flywheel = copy_of(built, tmp_path_factory.mktemp("deployed"))
    turn(flywheel, "deployed")
    return flywheel


def copy_of(flywheel: Flywheel, folder: Path) -> Flywheel:
    shutil.copytree(flywheel.home, folder / "home")
    return Flywheel(folder / "home")


def started(flywheel: Flywheel, name: str) -> Process:
    return Process(flywheel, ["-c", TURN], flywheel.home / f"{name}.txt")


def turn(flywheel: Flywheel, name: str = "next") -> str:
    process = started(flywheel, name)
    process.finish()
    return process.said


def command(flywheel: Flywheel, *arguments: str) -> Run:
    done = flywheel.command(*arguments)
    assert done.status == 0, done.output
    return done


def assert_whole(flywheel: Flywheel, *, repaired: bool) -> registry.RegistryState:
    """What must hold between tables and files.

    Args:
        repaired: also what only a repair sets right: the manifest, and no leftovers.
    """
    settings = settings_of(flywheel.home)
    known = registry.state(settings)
    states = [model.state for model in known.versions.values()]
    assert states.count(registry.CHAMPION) <= 1
    running = [d for d in known.deployments if d.ended_at is None]
    assert len(running) <= 1
    assert states.count(registry.CANARY) == len(running)
    assert registry.UNREGISTERED not in states
    for model in known.versions.values():
        assert set(model.files) == {"model", "features", "behavior"}
        for file in model.files.values():
            assert sha256_file(settings.home / file.path) == file.sha256
        assert model.artifact_sha256 == model.files["model"].sha256
    manifest = settings.deployment_manifest
    if manifest.exists():
        load_deployment(manifest)  # whole, and its files are those it names
    if repaired:
        assert says_the_same(json.loads(manifest.read_text()), known.manifest())
        leftovers = [str(p) for p in settings.home.rglob(f"{TEMPORARY_PREFIX}*")]
        assert not leftovers
        folders = {p.name for p in settings.models.iterdir()} if settings.models.exists() else set()
        assert folders == set(known.versions)
        assert not [*settings.models.glob(f"*/{registry.PENDING}")]
    return known


def assert_turn_is_told(flywheel: Flywheel) -> None:
    """Every deployment stands in the table of turns, once."""
    told = flywheel.rows(
        "select deployment_id from fct_flywheel_iterations where deployment_id is not null"
    )
    deployments = flywheel.rows("select deployment_id from flywheel_state.deployments")
    assert sorted(told) == sorted(deployments)


def test_a_killed_build_leaves_nothing_in_the_way(built: Flywheel) -> None:
    known = assert_whole(built, repaired=True)
    assert known.versions == {}
    assert built.rows("select count(*) > 0 from fct_training_groups") == [(True,)]


MOMENTS: dict[str, tuple[Callable[[Process], bool], float]] = {
    "training": (said("ready"), 0.25),
    "registering": (exists(f"models/{TEMPORARY_PREFIX}*"), 0.0),
    "model in its place": (exists("models/v*"), 0.0),
    "scoring": (said("Train"), 0.02),
    "comparing": (said("Train"), 0.6),
    "canary on its way": (said("Evaluate"), 0.0),
    "canary started": (manifest_names_a_canary, 0.0),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_turn_is_taken_up(built: Flywheel, tmp_path: Path, moment: str) -> None:
    flywheel = copy_of(built, tmp_path)
    killed = started(flywheel, "killed")
    assert killed.kill_when(*MOMENTS[moment]), killed.said
    before = assert_whole(flywheel, repaired=False)
    said_next = turn(flywheel)
    known = assert_whole(flywheel, repaired=False)
    command(flywheel, "status")
    assert_whole(flywheel, repaired=True)
    assert known.champion == LOGGED_ORDER
    assert known.running is not None, said_next
    if before.running is not None:
        assert known.running == before.running
    assert len(known.versions) == 1
    assert_turn_is_told(flywheel)


@pytest.mark.parametrize("seed", range(RANDOM_KILLS))
def test_a_turn_killed_at_random_is_taken_up(built: Flywheel, tmp_path: Path, seed: int) -> None:
    """Killed twice, so that the second kill hits the recovery."""
    flywheel = copy_of(built, tmp_path)
    draw = random.Random(20260105 + seed)
    for number in range(2):
        started(flywheel, f"killed{number}").kill_when(said("ready"), draw.uniform(0.0, 4.0))
        assert_whole(flywheel, repaired=False)
    turn(flywheel)
    command(flywheel, "status")
    known = assert_whole(flywheel, repaired=True)
    assert known.running is not None
    assert_turn_is_told(flywheel)


@pytest.mark.parametrize(
    "moment",
    [exists("deployments/e00000003.json"), manifest_names_a_champion],
    ids=["history written", "manifest written"],
)
def test_a_killed_promotion_is_whole_or_did_not_happen(
    deployed: Flywheel, tmp_path: Path, moment: Callable[[Process], bool]
) -> None:
    """The table says promote; the run that obeys is killed while it does."""
    flywheel = copy_of(deployed, tmp_path)
    settings = settings_of(flywheel.home)
    running = registry.current_deployment(settings)
    decide(flywheel, running.deployment_id)
    killed = started(flywheel, "killed")
    assert killed.kill_when(moment), killed.said
    known = assert_whole(flywheel, repaired=False)
    assert known.champion == running.challenger_version
    turn(flywheel)
    command(flywheel, "status")
    known = assert_whole(flywheel, repaired=True)
    assert known.champion == running.challenger_version
    assert known.running is None
    ended = known.deployments[-1]
    assert (ended.outcome, ended.reason) == ("promote", "the users like it")
    assert_turn_is_told(flywheel)


def test_a_killed_full_run_is_taken_up_by_the_next(
    deployed: Flywheel, tmp_path: Path, log: tuple[Path, Path]
) -> None:
    """The command itself, killed in dbt's build of a warehouse that has a canary."""
    flywheel = copy_of(deployed, tmp_path)
    arguments = ["-m", "flywheel", "run", "--no-tests", "--no-validation"]
    killed = Process(flywheel, arguments, flywheel.home / "killed.txt")
    assert killed.kill_when(said("Check"), random.Random(3).uniform(2.0, 5.0)), killed.said
    assert "Build" not in killed.said
    Process(flywheel, arguments, flywheel.home / "next.txt").finish()
    assert assert_whole(flywheel, repaired=True).running is not None
    assert_turn_is_told(flywheel)


def decide(flywheel: Flywheel, deployment_id: str) -> None:
    """Put a decision to promote into the table that `judge` obeys."""
    from flywheel.warehouse import connect

    row: dict[str, Any] = {
        "deployment_id": deployment_id,
        "look": 1,
        "decision": "promote",
        "reason": "the users like it",
    }
    with connect(settings_of(flywheel.home), read_only=False) as connection:
        connection.execute(
            f"insert into fct_canary_decisions ({', '.join(row)}) values (?, ?, ?, ?)",
            list(row.values()),
        )
