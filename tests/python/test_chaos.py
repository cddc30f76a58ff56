"""SIGKILL at every kind of moment: the next run finds its way, and the registry stays whole.

`FLYWHEEL_CHAOS_KILLS` sets how many turns and how many builds are killed at a random moment, each
with a seed of its own; from 2 on, each is killed again while it recovers, and every named moment
is tried too. What follows a killed first run is the fixture `flat`.
"""

import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import ubi_fixtures as ubi
from conftest import Flywheel, Run, Turned
from flywheel import registry
from flywheel.deployment import LOGGED_ORDER, says_the_same
from flywheel.files import TEMPORARY_PREFIX, sha256_file
from flywheel.serving import load_deployment
from flywheel.warehouse import connect
from killing import Process, contents, exists, finished, readable, said
from simulated import settings_of

RANDOM_KILLS = int(os.environ.get("FLYWHEEL_CHAOS_KILLS", "1"))
THOROUGH = RANDOM_KILLS > 1

REGISTRY_TABLES = (
    *("model_versions", "registry_events", "deployments"),
    *("evaluations", "ranker_scores", "iterations"),
)

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


def manifest_names_a_canary(process: Process) -> bool:
    """The moment after start_canary's last write."""
    manifest = process.flywheel.home / "deployment.json"
    return manifest.exists() and json.loads(manifest.read_text())["canary"] is not None


def manifest_names_a_champion(process: Process) -> bool:
    """The moment after promote's last write."""
    manifest = json.loads((process.flywheel.home / "deployment.json").read_text())
    return manifest["champion"]["model_version"] != LOGGED_ORDER


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, flat: Turned) -> Flywheel:
    """The flat flywheel as it was before its first model."""
    flywheel = copy_of(flat.flywheel, tmp_path_factory.mktemp("built"))
    with connect(settings_of(flywheel.home), read_only=False) as connection:
        for table in REGISTRY_TABLES:
            connection.execute(f"delete from flywheel_state.{table}")
    for folder in ("models", "deployments"):
        shutil.rmtree(flywheel.home / folder)
    (flywheel.home / "deployment.json").unlink()
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
        "select deployment_id from flywheel_state.iterations where deployment_id is not null"
    )
    deployments = flywheel.rows("select deployment_id from flywheel_state.deployments")
    assert sorted(told) == sorted(deployments)


MOMENTS: dict[str, tuple[Callable[[Process], bool], float]] = {
    "training": (said("ready"), 0.1),
    "registering": (exists(f"models/{TEMPORARY_PREFIX}*"), 0.0),
    "model in its place": (exists("models/v*"), 0.0),
    "scoring": (said("Train"), 0.02),
    "comparing": (finished(1), 0.0),
    "canary on its way": (said("Evaluate"), 0.0),
    "canary started": (manifest_names_a_canary, 0.0),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment",
    [*MOMENTS] if THOROUGH else ["model in its place", "canary started"],
)
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
    judged, refit = known.versions.values()
    assert refit.refit_of == judged.version
    assert (judged.state, refit.state) == (registry.RETIRED, registry.CANARY)
    assert_turn_is_told(flywheel)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(RANDOM_KILLS))
def test_a_turn_killed_at_random_is_taken_up(built: Flywheel, tmp_path: Path, seed: int) -> None:
    """A thorough run kills twice, so that the second kill hits the recovery.

    The moment is an event drawn from those of a turn, or a little later. After the first kill a
    turn has less to do: it may end before the second, which then has killed nothing.
    """
    flywheel = copy_of(built, tmp_path)
    draw = random.Random(20260105 + seed)
    moments = [moment for moment, _ in MOMENTS.values()] + [finished(n) for n in range(2, 6)]
    for number in range(1 + THOROUGH):
        process = started(flywheel, f"killed{number}")
        was_killed = process.kill_when(draw.choice(moments), draw.uniform(0.0, 0.2))
        assert was_killed or number, process.said
        assert_whole(flywheel, repaired=False)
    turn(flywheel)
    command(flywheel, "status")
    known = assert_whole(flywheel, repaired=True)
    assert known.running is not None
    assert_turn_is_told(flywheel)


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment",
    [exists("deployments/e00000005.json"), manifest_names_a_champion][: 1 + THOROUGH],
    ids=["history written", "manifest written"][: 1 + THOROUGH],
)
def test_a_killed_promotion_is_whole_or_did_not_happen(
    flat: Turned, tmp_path: Path, moment: Callable[[Process], bool]
) -> None:
    """The table says promote; the run that obeys is killed while it does."""
    flywheel = copy_of(flat.flywheel, tmp_path)
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


@pytest.mark.slow
def test_a_killed_full_run_is_taken_up_by_the_next(flat: Turned, tmp_path: Path) -> None:
    """The command itself, killed in dbt's build of a warehouse that has a canary."""
    flywheel = copy_of(flat.flywheel, tmp_path)
    arguments = ["-m", "flywheel", "run", "--no-tests", "--no-validation"]
    killed = Process(flywheel, arguments, flywheel.home / "killed.txt")
    assert killed.kill_when(finished(random.Random(3).randrange(10, 60))), killed.said
    assert "Build" not in killed.said
    Process(flywheel, arguments, flywheel.home / "next.txt").finish()
    assert assert_whole(flywheel, repaired=True).running is not None
    assert_turn_is_told(flywheel)
    fingerprint = "select fingerprint from fct_training_manifest"
    assert flywheel.rows(fingerprint) == flat.flywheel.rows(fingerprint)


def decide(flywheel: Flywheel, deployment_id: str) -> None:
    """Put a decision to promote into the table that `judge` obeys."""
    row: dict[str, Any] = {
        "deployment_id": deployment_id,
        "look": 1,
        "decision": "promote",
        "reason": "the users like it",
    }
    with connect(settings_of(flywheel.home), read_only=False) as connection:
        connection.execute(
            f"insert into main_intermediate.int_deployments__decided ({', '.join(row)}) "
            "values (?, ?, ?, ?)",
            list(row.values()),
        )


# --- builds -------------------------------------------------------------------------------------

BUILT_NODES = 74
"""Seeds and models of a build; the kill comes after one of them, drawn, or a little later."""


@dataclass(frozen=True)
class Growing:
    """A log to which a day was added after its warehouse had been built.

    Attributes:
        before: the warehouse of the first days.
        after: the same after a build with the last day, undisturbed.
        arguments: of the command that builds it.
    """

    before: Flywheel
    after: Flywheel
    arguments: list[str]


def a_day(day: int, *, late: bool) -> list[ubi.Document]:
    """Searches with a click each; a late day also brings clicks on the searches before it."""
    documents = []
    for i in range(150):
        at = datetime(2026, 3, day, 6) + timedelta(minutes=4 * i)
        who = {"client_id": f"c{i % 41}"}
        documents += [
            ubi.query(f"{day}-{i}", f"text {i % 13}", f"{at}Z", hits=list("abcdef"), **who),
            ubi.event("click", f"{day}-{i}", f"{at}Z", doc="b", ordinal=2, **who),
        ]
        if late and i % 5 == 0:
            then = at - timedelta(days=1) + timedelta(seconds=50)
            documents.append(
                ubi.event("click", f"{day - 1}-{i}", f"{then}Z", doc="d", ordinal=4, **who)
            )
    return documents


@pytest.fixture(scope="session")
def growing(tmp_path_factory: pytest.TempPathFactory) -> Growing:
    folder = tmp_path_factory.mktemp("growing")
    log = folder / "log"
    variables = [f"--var={name}={log}" for name in ("raw_queries", "raw_events")]
    arguments = ["build", "--no-tests", *variables, "--var=ranking_features="]
    before = Flywheel(folder / "before")
    for day in (2, 3, 4):
        path = ubi.write_ndjson(log / f"{day}.ndjson", a_day(day, late=day == 4))
        arrived = datetime(2026, 3, day + 1).timestamp()
        os.utime(path, (arrived, arrived))
        if day == 3:
            command(before, *arguments)
    (folder / "after").mkdir()
    after = copy_of(before, folder / "after")
    command(after, *arguments)
    return Growing(before, after, arguments)


@pytest.mark.slow
@pytest.mark.parametrize("first", [False, True], ids=["a day more", "from nothing"])
@pytest.mark.parametrize("seed", range(RANDOM_KILLS))
def test_a_build_killed_at_random_loses_and_doubles_nothing(
    growing: Growing, tmp_path: Path, seed: int, first: bool
) -> None:
    """Tables stay whole for a reader, and the next build gives those of an undisturbed one."""
    flywheel = Flywheel(tmp_path / "home") if first else copy_of(growing.before, tmp_path)
    draw = random.Random(20260302 + 2 * seed + first)
    for number in range(1 + THOROUGH):
        tables = readable(flywheel) if flywheel.database.exists() else {}
        killed = Process(
            flywheel, ["-m", "flywheel", *growing.arguments], flywheel.home / f"killed{number}.txt"
        )
        moment = finished(draw.randrange(BUILT_NODES - 2))
        assert killed.kill_when(moment, draw.uniform(0.0, 0.1)), killed.said
        if flywheel.database.exists():
            found = readable(flywheel)
            assert set(tables) <= set(found)
            assert not [name for name in tables if tables[name] and not found[name]]
    Process(flywheel, ["-m", "flywheel", *growing.arguments], flywheel.home / "next.txt").finish()
    undisturbed = contents(growing.after)
    disturbed = contents(flywheel)
    assert set(disturbed) == set(undisturbed)
    for table, rows in undisturbed.items():
        assert disturbed[table] == rows, table
    assert not [*flywheel.home.rglob(f"{TEMPORARY_PREFIX}*")]
