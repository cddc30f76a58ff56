"""The registry: which moves are allowed, and that no interruption leaves a half-made change."""

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from flywheel import deployment, files, registry
from flywheel.errors import FlywheelError
from flywheel.registry import files as model_files
from flywheel.registry import ledger, manifest, reading, rows
from flywheel.settings import Settings
from flywheel.warehouse import connect
from patience import PATIENCE
from ranker_fixtures import NOW, FakeModel, create_state, holders, new_flywheel, state_tables


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return new_flywheel(tmp_path)


def states(settings: Settings) -> dict[str, str]:
    return {name: model.state for name, model in registry.state(settings).versions.items()}


def make_champion(settings: Settings, *versions: str) -> None:
    for version in versions:
        registry.register(settings, FakeModel(version), at=NOW)
        registry.start_canary(settings, version, 0.1, at=NOW)
        registry.promote(settings, at=NOW)


def check_consistent(settings: Settings) -> registry.RegistryState:
    """What must hold after `repair`, whatever happened before."""
    state = registry.state(settings)
    for model in state.versions.values():
        registry.verify_files(settings, model)
        assert not (settings.models / model.version / registry.PENDING).exists()
    for event in state.events:
        assert (event.from_state, event.to_state) in registry.ALLOWED_MOVES
    on_disk = {p.name for p in settings.models.iterdir()} if settings.models.is_dir() else set()
    assert on_disk == set(state.versions)
    manifest = deployment.read_manifest(settings)
    assert deployment.says_the_same(manifest, state.manifest())
    champions = [m.version for m in state.versions.values() if m.state == "champion"]
    canaries = [m.version for m in state.versions.values() if m.state == "canary"]
    assert champions == ([] if state.champion == "logged" else [state.champion])
    assert canaries == ([state.running.challenger_version] if state.running else [])
    assert manifest["champion"]["model_version"] == state.champion
    assert (manifest["canary"] is None) == (state.running is None)
    assert not list(settings.home.rglob(f"{files.TEMPORARY_PREFIX}*"))
    return state


# --- moves ---------------------------------------------------------------------------------------


def test_the_tables_are_the_projects():
    assert set(state_tables()) >= set(reading.STATE_TABLES)


def test_a_whole_life(settings: Settings):
    assert registry.champion(settings) == "logged"
    one = registry.register(settings, FakeModel("v1"), at=NOW, reason="first")
    assert (one.state, one.registered_at, one.features) == ("challenger", NOW, ("f_a",))
    assert one.artifact_path == "models/v1/model.txt"
    assert one.artifact_sha256 == files.sha256_file(settings.models / "v1/model.txt")
    canary = registry.start_canary(settings, "v1", 0.05, at=NOW + timedelta(days=1))
    assert states(settings) == {"v1": "canary"}
    assert registry.current_deployment(settings) == canary
    assert (canary.champion_version, canary.unit, canary.canary_share) == (
        "logged",
        "user_id",
        0.05,
    )
    ended = registry.promote(settings, at=NOW + timedelta(days=3), evidence={"e_value": 33.0})
    assert (ended.outcome, ended.ended_at) == ("promote", NOW + timedelta(days=3))
    assert registry.champion(settings) == "v1"
    assert registry.current_deployment(settings) is None

    registry.register(settings, FakeModel("v2"), at=NOW + timedelta(days=4))
    registry.start_canary(settings, "v2", 0.05, at=NOW + timedelta(days=5))
    registry.promote(settings, "v2", at=NOW + timedelta(days=6))
    assert states(settings) == {"v1": "retired", "v2": "champion"}

    registry.register(settings, FakeModel("v3"), at=NOW + timedelta(days=7))
    registry.start_canary(settings, "v3", 0.05, at=NOW + timedelta(days=8))
    after = registry.rollback(settings, at=NOW + timedelta(days=9), reason="CTR fell")
    assert states(settings) == {"v1": "retired", "v2": "champion", "v3": "rolled_back"}
    assert (after.deployments[-1].outcome, after.deployments[-1].reason) == (
        "roll_back",
        "CTR fell",
    )

    registry.register(settings, FakeModel("v4"), at=NOW + timedelta(days=10))
    registry.start_canary(settings, "v4", 0.05, at=NOW + timedelta(days=11))
    assert registry.end_canary(settings, at=NOW + timedelta(days=12)).outcome == "inconclusive"
    registry.register(settings, FakeModel("v5"), at=NOW + timedelta(days=13))
    registry.retire(settings, "v5", at=NOW + timedelta(days=13), reason="gate")
    assert states(settings) == {
        "v1": "retired", "v2": "champion", "v3": "rolled_back", "v4": "retired", "v5": "retired",
    }  # fmt: skip
    events = registry.state(settings).events
    assert [(e.model_version, e.from_state, e.to_state) for e in events][:6] == [
        ("v1", None, "challenger"),
        ("v1", "challenger", "canary"),
        ("v1", "canary", "champion"),
        ("v2", None, "challenger"),
        ("v2", "challenger", "canary"),
        ("v1", "champion", "retired"),
    ]
    assert events[2].evidence == {"deployment_id": "d000001-v1", "e_value": 33.0}
    assert len({e.event_id for e in events}) == len(events)
    check_consistent(settings)


def test_roll_backs_of_champions_walk_back_the_line(settings: Settings):
    make_champion(settings, "v1", "v2", "v3")
    seen = []
    for _ in range(3):
        seen.append(registry.rollback(settings, at=NOW).champion)
        check_consistent(settings)
    assert seen == ["v2", "v1", "logged"]
    assert states(settings) == dict.fromkeys(("v1", "v2", "v3"), "rolled_back")
    with pytest.raises(FlywheelError, match="nothing to roll back"):
        registry.rollback(settings, at=NOW)
    make_champion(settings, "v4")
    assert registry.rollback(settings, at=NOW).champion == "logged"


def test_a_champion_after_a_roll_back_has_the_restored_one_before_it(settings: Settings):
    make_champion(settings, "v1", "v2")
    assert registry.rollback(settings, at=NOW).champion == "v1"
    make_champion(settings, "v3")
    assert registry.rollback(settings, at=NOW).champion == "v1"
    assert states(settings) == {"v1": "champion", "v2": "rolled_back", "v3": "rolled_back"}


def test_roll_back_restores_the_very_files(settings: Settings):
    make_champion(settings, "v1")
    before = deployment.read_manifest(settings)["champion"]
    content = {p.name: p.read_bytes() for p in (settings.models / "v1").iterdir()}
    make_champion(settings, "v2")
    assert deployment.read_manifest(settings)["champion"] != before
    registry.rollback(settings, at=NOW)
    assert deployment.read_manifest(settings)["champion"] == before
    assert {p.name: p.read_bytes() for p in (settings.models / "v1").iterdir()} == content


def test_only_the_listed_moves_are_possible(settings: Settings):
    """Every pair of states, each tried on the one place that writes events."""
    names = [None, "challenger", "canary", "champion", "retired", "rolled_back"]
    allowed = set()
    for number, (before, after) in enumerate(itertools.product(names, names[1:])):
        version = f"v{number}"
        with connect(settings, read_only=False) as connection:
            connection.execute(
                "insert into flywheel_state.model_versions (model_version) values (?)", [version]
            )
            if before is not None:
                connection.execute(
                    "insert into flywheel_state.registry_events "
                    "(event_id, event_at, model_version, to_state) values "
                    "('e' || lpad(cast((select count(*) + 1 from flywheel_state.registry_events) "
                    "as varchar), 8, '0'), ?, ?, ?)",
                    [NOW, version, before],
                )
            try:
                ledger.move(connection, version, after, at=NOW, reason="", evidence={})
                allowed.add((before, after))
            except FlywheelError as error:
                assert f"cannot become {after}" in str(error)
    assert allowed == {
        (None, "challenger"),
        ("challenger", "canary"), ("challenger", "retired"),
        ("canary", "canary"), ("canary", "champion"), ("canary", "rolled_back"),
        ("canary", "retired"),
        ("champion", "retired"), ("champion", "rolled_back"),
        ("retired", "champion"),
        ("champion", "champion"),
    }  # fmt: skip


def test_what_is_refused_says_why(settings: Settings):
    with pytest.raises(FlywheelError, match="No canary is running"):
        registry.promote(settings, at=NOW)
    with pytest.raises(FlywheelError, match="No canary is running"):
        registry.end_canary(settings, at=NOW)
    with pytest.raises(FlywheelError, match="no model version 'v9'; registered are: none yet"):
        registry.start_canary(settings, "v9", 0.1, at=NOW)
    make_champion(settings, "v1")
    registry.register(settings, FakeModel("v2"), at=NOW)
    registry.register(settings, FakeModel("v3"), at=NOW)
    with pytest.raises(FlywheelError, match="v2 is challenger, not canary"):
        registry.promote(settings, "v2", at=NOW)
    with pytest.raises(FlywheelError, match="v1 is champion and cannot become canary"):
        registry.start_canary(settings, "v1", 0.1, at=NOW)
    with pytest.raises(FlywheelError, match="v1 is champion; only a challenger"):
        registry.retire(settings, "v1", at=NOW)
    for share in (0.0, 1.0, -0.1, 5, float("nan")):
        with pytest.raises(FlywheelError, match="share"):
            registry.start_canary(settings, "v2", share, at=NOW)
    registry.start_canary(settings, "v2", 0.1, at=NOW)
    before = registry.state(settings)
    with pytest.raises(FlywheelError, match="d000002-v2 is still running"):
        registry.start_canary(settings, "v3", 0.1, at=NOW)
    with pytest.raises(FlywheelError, match="v3 is challenger, not canary"):
        registry.promote(settings, "v3", at=NOW)
    assert registry.state(settings) == before
    check_consistent(settings)


def test_registering_the_same_again_changes_nothing(settings: Settings):
    make_champion(settings, "v1")
    before = registry.state(settings)
    assert registry.register(settings, FakeModel("v1"), at=NOW).state == "champion"
    assert registry.state(settings) == before
    with pytest.raises(FlywheelError, match="registered with other content"):
        registry.register(settings, FakeModel("v1", content="another"), at=NOW)
    assert registry.state(settings) == before
    check_consistent(settings)


def test_missing_warehouse_and_missing_tables(tmp_path: Path):
    settings = Settings(project=tmp_path, home=tmp_path, database=tmp_path / "w.duckdb")
    assert registry.repair(settings) == registry.RepairReport()
    for call in (registry.champion, lambda s: registry.register(s, FakeModel("v1"))):
        with pytest.raises(FlywheelError, match="flywheel build"):
            call(settings)
    assert not settings.database.exists()
    with connect(settings, read_only=False) as connection:
        connection.execute("create table t (i integer)")
    assert registry.repair(settings) == registry.RepairReport()
    for call in (registry.champion, lambda s: registry.register(s, FakeModel("v1"))):
        with pytest.raises(FlywheelError, match=r"no table flywheel_state\.\w+; run `flywheel bu"):
            call(settings)


# --- times ---------------------------------------------------------------------------------------


def test_times_are_naive_utc_and_the_ledger_never_runs_backwards(settings: Settings):
    local = datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    registry.register(settings, FakeModel("v1"), at=local)
    registry.start_canary(settings, "v1", 0.1, at=NOW - timedelta(days=9))
    ended = registry.promote(settings, at=NOW - timedelta(days=10))
    first, second, third = registry.state(settings).events
    assert first.event_at == second.event_at == third.event_at == NOW
    assert second.evidence["asked_at"] == (NOW - timedelta(days=9)).isoformat()
    assert ended.started_at == ended.ended_at == NOW - timedelta(days=9)
    registry.register(settings, FakeModel("v2"))
    now = datetime.now(UTC).replace(tzinfo=None)
    recorded = registry.state(settings).versions["v2"].registered_at
    assert timedelta(0) <= now - recorded < timedelta(minutes=1)


def test_the_last_event_by_time_and_id_is_the_state(settings: Settings):
    """The order SQL takes: `event_at` and then `event_id` must agree with the registry's."""
    make_champion(settings, "v1", "v2")
    registry.rollback(settings, at=NOW - timedelta(days=30))
    with connect(settings) as connection:
        rows = connection.execute(
            "select model_version, arg_max(to_state, (event_at, event_id)) "
            "from flywheel_state.registry_events group by model_version"
        ).fetchall()
    assert dict(rows) == states(settings)


# --- evaluations ---------------------------------------------------------------------------------


def test_an_evaluation_asked_for_twice_is_one_row(settings: Settings):
    registry.register(settings, FakeModel("v1"), at=NOW)
    window = {"window_start": NOW, "window_end": NOW + timedelta(days=7)}
    ids = {registry.request_evaluation(settings, "v1", at=NOW, **window) for _ in range(2)}
    assert len(ids) == 1
    window["window_end"] += timedelta(days=1)
    ids.add(registry.request_evaluation(settings, "v1", at=NOW, **window))
    with connect(settings) as connection:
        rows = connection.execute(
            "select evaluation_id, model_version, champion_version, window_start "
            "from flywheel_state.evaluations"
        ).fetchall()
    assert {row[0] for row in rows} == ids and len(rows) == 2
    assert {row[1:] for row in rows} == {("v1", "logged", NOW)}
    with pytest.raises(FlywheelError, match="no model version"):
        registry.request_evaluation(settings, "v9", **window)


# --- names ---------------------------------------------------------------------------------------


def test_names_of_models(settings: Settings):
    def resolve(name: str) -> str:
        return registry.resolve(registry.state(settings), name).version

    with pytest.raises(FlywheelError, match="There is no challenger"):
        resolve("challenger")
    with pytest.raises(FlywheelError, match="There is no model yet"):
        resolve("latest")
    with pytest.raises(FlywheelError, match="logged order"):
        resolve("champion")
    make_champion(settings, "v1")
    registry.register(settings, FakeModel("v2"), at=NOW)
    assert [resolve(n) for n in ("champion", "challenger", "v1")] == ["v1", "v2", "v1"]
    assert resolve("latest") == "v2"
    registry.start_canary(settings, "v2", 0.1, at=NOW)
    assert resolve("challenger") == resolve("latest") == "v2"
    registry.rollback(settings, at=NOW, reason="worse")
    assert [resolve(n) for n in ("champion", "latest")] == ["v1", "v2"]


# --- damage --------------------------------------------------------------------------------------


def test_damaged_files_stop_every_step_that_would_serve_them(settings: Settings):
    make_champion(settings, "v1")
    registry.register(settings, FakeModel("v2"), at=NOW)
    path = settings.models / "v2/features.json"
    good = path.read_bytes()
    path.write_bytes(good + b" ")
    registry.repair(settings)  # a challenger serves nobody yet
    with pytest.raises(FlywheelError, match=r"features\.json of challenger v2 is damaged"):
        registry.start_canary(settings, "v2", 0.1, at=NOW)
    path.write_bytes(good)
    registry.start_canary(settings, "v2", 0.1, at=NOW)
    path.unlink()
    with pytest.raises(FlywheelError, match=r"features\.json of canary v2 is missing"):
        registry.repair(settings)
    with pytest.raises(FlywheelError, match="is missing"):
        registry.promote(settings, at=NOW)
    registry.repair(settings, verify=False)
    assert registry.rollback(settings, at=NOW).champion == "v1"
    registry.repair(settings)


def test_a_damaged_previous_champion_is_not_restored(settings: Settings):
    make_champion(settings, "v1", "v2")
    (settings.models / "v1/model.txt").write_text("damaged")
    before = registry.state(settings)
    with pytest.raises(FlywheelError, match=r"model\.txt of retired v1 is damaged"):
        registry.rollback(settings, at=NOW)
    assert registry.state(settings) == before


def test_repair_writes_the_manifest_again(settings: Settings):
    make_champion(settings, "v1")
    good = settings.deployment_manifest.read_bytes()
    assert registry.repair(settings) == registry.RepairReport()
    for bad in (b"", b"{", b"[]", good.replace(b"v1", b"v7")):
        settings.deployment_manifest.write_bytes(bad)
        assert registry.repair(settings).manifest_rewritten
        assert settings.deployment_manifest.read_bytes() == good
    settings.deployment_manifest.unlink()
    assert registry.repair(settings).manifest_rewritten
    assert settings.deployment_manifest.read_bytes() == good


def test_repair_leaves_other_peoples_models_alone(settings: Settings):
    """The warehouse may have been deleted or be another one: models are not ours to remove."""
    registry.register(settings, FakeModel("v1"), at=NOW)
    other = Settings(settings.project, settings.home, settings.home / "other.duckdb")
    with connect(other, read_only=False) as connection:
        create_state(connection)
    foreign = settings.models / f"{files.TEMPORARY_PREFIX}v8"
    foreign.mkdir()
    (foreign / registry.PENDING).write_text(f"{settings.database}\n")
    report = registry.repair(other)
    assert report.removed == () and report.unregistered == ("models/v1",)
    assert foreign.exists()
    # The same model trained again in the new warehouse takes the same folder; another may not.
    with pytest.raises(FlywheelError, match="holds other files"):
        registry.register(other, FakeModel("v1", content="another"), at=NOW)
    registry.register(other, FakeModel("v1"), at=NOW)
    registry.verify_files(settings, registry.state(settings).version("v1"))
    assert registry.repair(settings).removed == (f"models/{foreign.name}",)


# --- interruptions -------------------------------------------------------------------------------

# Each place where a run can die, as (object, attribute); the call itself happens or not.
STEPS = [
    (model_files, "write_atomic"),
    (model_files, "sync_file"),
    (model_files, "sync_folder"),
    (model_files, "publish_folder"),
    (model_files.os, "rename"),
    (rows, "insert_version"),
    (rows, "insert_snapshot"),
    (ledger, "move"),
    (rows, "end"),
    (ledger, "_check_invariants"),
    (manifest, "publish_manifest"),
    (deployment, "write_atomic"),
    (files.os, "replace"),
]

ACTIONS = {
    "register": lambda s: registry.register(s, FakeModel("v9"), at=NOW),
    "start_canary": lambda s: registry.start_canary(s, "v2", 0.2, at=NOW),
    "promote": lambda s: registry.promote(s, at=NOW),
    "rollback canary": lambda s: registry.rollback(s, at=NOW),
    "rollback champion": lambda s: registry.rollback(s, at=NOW),
    "end_canary": lambda s: registry.end_canary(s, at=NOW),
    "ramp": lambda s: registry.ramp(s, 0.5, at=NOW),
    "deploy refit": lambda s: registry.start_canary(s, "v2", 0.2, at=NOW, retires="v3"),
    "refresh": lambda s: registry.refresh_snapshots(s, at=NOW),
}
BEFORE = {
    "register": (),
    "start_canary": ("v2",),
    "promote": ("v2", "canary"),
    "rollback canary": ("v2", "canary"),
    "rollback champion": (),
    "end_canary": ("v2", "canary"),
    "ramp": ("v2", "canary"),
    "deploy refit": ("v2", "v3"),
    "refresh": ("windows",),
}


class Died(BaseException):
    """Stands for a process that is gone: nothing catches it."""


def prepare(settings: Settings, action: str) -> None:
    make_champion(settings, "v0", "v1")
    if "v2" in BEFORE[action]:
        registry.register(settings, FakeModel("v2"), at=NOW)
    if "v3" in BEFORE[action]:
        registry.register(settings, FakeModel("v3"), at=NOW)
    if "windows" in BEFORE[action]:
        with connect(settings, read_only=False) as connection:
            connection.execute("create schema if not exists main_intermediate")
            connection.execute(
                "create table main_intermediate.int_windows as select ? as evaluation_end", [NOW]
            )
    if "canary" in BEFORE[action]:
        registry.start_canary(settings, "v2", 0.2, at=NOW)


def copy_of(template: Settings, home: Path) -> Settings:
    shutil.copytree(template.home, home)
    return Settings(template.project, home, home / "warehouse.duckdb")


def moments_of(
    action: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[Any, str, int]]:
    """First and second calls of a step in an undisturbed action: its place, its name, which."""
    seen: list[tuple[Any, str, int]] = []
    with monkeypatch.context() as patch:
        for owner, name in STEPS:
            step = getattr(owner, name)

            def noted(*args, owner=owner, name=name, original=step, **kwargs):
                seen.append((owner, name, 1 + sum(s[:2] == (owner, name) for s in seen)))
                return original(*args, **kwargs)

            for holder in holders(owner, name):
                patch.setattr(holder, name, noted)
        ACTIONS[action](settings)
    return [moment for moment in seen if moment[2] <= 2]


LONGER = (
    *(
        "register",
        "start_canary",
        "rollback canary",
        "rollback champion",
        "end_canary",
        "ramp",
        "deploy refit",
        "refresh",
    ),
)


@pytest.mark.parametrize(
    "action",
    [pytest.param(name, marks=pytest.mark.slow) if name in LONGER else name for name in ACTIONS],
)
def test_an_exception_at_any_step_leaves_the_old_state_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str
):
    template = new_flywheel(tmp_path / "template")
    prepare(template, action)
    old = registry.state(template)
    undisturbed = copy_of(template, tmp_path / "undisturbed")
    moments = moments_of(action, undisturbed, monkeypatch)
    assert registry.state(undisturbed).events != old.events
    outcomes = set()
    for number, ((owner, name, call), after) in enumerate(
        itertools.product(moments, (False, True))
    ):
        settings = copy_of(template, tmp_path / str(number))
        original = getattr(owner, name)
        calls = itertools.count(1)

        def dying(*args, original=original, calls=calls, after=after, call=call, **kwargs):
            now = next(calls) == call
            if now and not after:
                raise Died
            result = original(*args, **kwargs)
            if now:
                raise Died
            return result

        with monkeypatch.context() as patch:
            for holder in holders(owner, name):
                patch.setattr(holder, name, dying)
            with pytest.raises(Died):
                ACTIONS[action](settings)
        registry.repair(settings)
        new = check_consistent(settings)
        changed = new.events != old.events
        if changed:
            # All rows of the change or none of them.
            expected = {"promote": 2, "rollback champion": 2, "deploy refit": 2}.get(action, 1)
            assert len(new.events) == len(old.events) + expected
        outcomes.add(changed)
        if not changed:
            ACTIONS[action](settings)
            check_consistent(settings)
    assert outcomes == {True, False}


CHILD = """
import os, signal, sys
sys.path[:0] = [{python!r}, {tests!r}]
from pathlib import Path
from flywheel import deployment, files, registry
from flywheel.registry import files as model_files, manifest, rows
from flywheel.settings import Settings
from ranker_fixtures import NOW, FakeModel, holders
home = Path({home!r})
settings = Settings(home, home, home / "warehouse.duckdb")
{setup}
number = 0
while True:
    registry.repair(settings)
    number += 1
    state = registry.state(settings)
    print("turn", flush=True)
    if state.challenger is None:
        registry.register(settings, FakeModel(f"v{{len(state.versions):04d}}"))
    elif state.running is None:
        registry.start_canary(settings, state.challenger, 0.1)
    else:
        [registry.promote, registry.rollback, registry.promote, registry.end_canary][
            len(state.deployments) % 4](settings)
        if len(state.deployments) % 5 == 0 and registry.champion(settings) != "logged":
            registry.rollback(settings)
"""

KILL_AT = """
def killed(owner, name, after):
    original = getattr(owner, name)
    def call(*args, **kwargs):
        if not after:
            os.kill(os.getpid(), signal.SIGKILL)
        original(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)
    for holder in holders(owner, name):
        setattr(holder, name, call)
killed({owner}, {name!r}, {after})
"""


def start_child(settings: Settings, setup: str = "") -> subprocess.Popen:
    code = CHILD.format(
        python=str(Path(files.__file__).parents[1]),
        tests=str(Path(__file__).parent),
        home=str(settings.home),
        setup=setup,
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_process_killed_at_a_random_moment_leaves_nothing_half_done(settings: Settings):
    chance = random.Random(5)
    finished = events = 0
    for _ in range(8):
        child = start_child(settings)
        turns = chance.randint(1, 4)
        for _ in range(turns):
            assert child.stdout.readline() == "turn\n"
        finished += turns - 1
        time.sleep(chance.uniform(0.0, 0.15))
        child.send_signal(signal.SIGKILL)
        assert child.wait(PATIENCE) == -signal.SIGKILL
        child.stdout.close()
        registry.repair(settings)
        events = len(check_consistent(settings).events)
    assert events >= finished > 8


@pytest.mark.parametrize(
    ("owner", "name", "after", "registered"),
    [
        ("model_files", "sync_file", True, False),
        ("model_files", "publish_folder", True, False),
        ("rows", "insert_version", True, False),
        ("manifest", "publish_manifest", False, True),
        ("files.os", "replace", False, False),
    ],
)
def test_a_process_killed_at_a_chosen_step(settings, owner, name, after, registered):
    registry.repair(settings)
    child = start_child(settings, KILL_AT.format(owner=owner, name=name, after=after))
    assert child.wait(PATIENCE) == -signal.SIGKILL
    child.stdout.close()
    assert any(settings.models.iterdir())
    registry.repair(settings)
    state = check_consistent(settings)
    assert list(state.versions) == (["v0000"] if registered else [])
    assert os.path.exists(settings.deployment_manifest)
