"""The deployment manifest: its form, its history, and that it appears whole."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from flywheel import deployment, files, loop, registry
from flywheel.errors import FlywheelError
from flywheel.serving import assignment_bucket
from flywheel.settings import Settings
from flywheel.terminal import Terminal
from flywheel.warehouse import connect
from ranker_fixtures import NOW, FakeModel, new_flywheel
from sql_project import SqlProject


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return new_flywheel(tmp_path)


def manifest(settings: Settings) -> dict:
    return json.loads(settings.deployment_manifest.read_text())


def expected_files(settings: Settings, version: str) -> dict:
    names = {"model": "model.txt", "features": "features.json", "behavior": "behavior.parquet"}
    return {
        role: {
            "path": f"models/{version}/{name}",
            "sha256": files.sha256_file(settings.home / "models" / version / name),
        }
        for role, name in names.items()
    }


def test_before_any_model_the_logged_order_serves(settings: Settings):
    registry.repair(settings)
    content = manifest(settings)
    assert content.pop("written_at").endswith("Z")
    assert content == {
        "manifest_version": 1,
        "deployment_id": "d000000",
        "salt": deployment.salt_for("d000000"),
        "unit": "user_id",
        "champion": {"model_version": "logged", "snapshot": None, "files": None},
        "canary": None,
    }


def test_the_form_during_and_after_a_canary(settings: Settings):
    registry.register(settings, FakeModel("v1"), at=NOW)
    started = registry.start_canary(settings, "v1", 0.05, at=NOW + timedelta(hours=1))
    during = manifest(settings)
    assert during == {
        "manifest_version": 1,
        "deployment_id": "d000001-v1",
        "salt": started.salt,
        "unit": "user_id",
        "written_at": "2026-03-01T13:00:00Z",
        "champion": {"model_version": "logged", "snapshot": None, "files": None},
        "canary": {
            "model_version": "v1",
            "share": 0.05,
            "snapshot": "s000001",
            "files": expected_files(settings, "v1"),
        },
    }
    registry.promote(settings, at=NOW + timedelta(hours=2))
    after = manifest(settings)
    assert after["champion"] == {
        "model_version": "v1",
        "snapshot": "s000001",
        "files": expected_files(settings, "v1"),
    }
    assert after["canary"] is None
    assert (after["deployment_id"], after["salt"]) == ("d000001-v1", started.salt)


def test_every_deployment_has_a_salt_of_its_own(settings: Settings):
    salts = set()
    for version in ("v1", "v2", "v3"):
        registry.register(settings, FakeModel(version), at=NOW)
        started = registry.start_canary(settings, version, 0.05, at=NOW)
        assert started.salt == deployment.salt_for(started.deployment_id)
        salts.add(started.salt)
        registry.end_canary(settings, at=NOW)
    assert len(salts) == 3


def test_every_manifest_is_kept(settings: Settings):
    registry.register(settings, FakeModel("v1"), at=NOW)
    seen = [manifest(settings)]
    registry.start_canary(settings, "v1", 0.05, at=NOW)
    seen.append(manifest(settings))
    registry.promote(settings, at=NOW)
    seen.append(manifest(settings))
    kept = sorted(deployment.history_folder(settings).iterdir())
    assert [path.name for path in kept] == ["e00000001.json", "e00000002.json", "e00000003.json"]
    assert [json.loads(path.read_text()) for path in kept] == seen


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch):
    path = tmp_path / "deep" / "file.json"
    files.write_atomic(path, b"old")
    with pytest.raises(RuntimeError), files.atomic_path(path) as temporary:
        temporary.write_bytes(b"half of the n")
        raise RuntimeError
    assert path.read_bytes() == b"old"

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "sync_file", fail)
    with pytest.raises(OSError, match="No space"):
        files.write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in path.parent.iterdir()] == ["file.json"]


def test_digests():
    # FIPS 180-2, appendix B.1.
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256_bytes(b"abc") == known


def test_same_manifest_at_another_time_serves_alike(settings: Settings):
    one = registry.state(settings).manifest(NOW)
    other = registry.state(settings).manifest(NOW + timedelta(days=1))
    assert one != other and deployment.says_the_same(one, other)
    assert not deployment.says_the_same(one, {**one, "salt": "another"})
    assert not deployment.says_the_same(None, one)


def start(settings: Settings, share: float = 0.05) -> deployment.Deployment:
    registry.register(settings, FakeModel("v1"), at=NOW)
    return registry.start_canary(settings, "v1", share, at=NOW)


def test_a_share_that_is_raised_keeps_everybody_who_is_in(settings: Settings):
    small = start(settings)
    large = registry.ramp(settings, 0.5, at=NOW + timedelta(days=2), reason="no harm is shown")
    assert large.salt == small.salt
    content = manifest(settings)
    assert (content["deployment_id"], content["salt"]) == ("d000002-v1", small.salt)
    assert content["canary"]["share"] == 0.5
    buckets = [assignment_bucket(large.salt, f"u{i}") for i in range(2000)]
    before, after = ({i for i, b in enumerate(buckets) if b < 10_000 * s} for s in (0.05, 0.5))
    assert before < after
    state = registry.state(settings)
    assert [(d.canary_share, d.started_at, d.ended_at, d.outcome) for d in state.deployments] == [
        (0.05, NOW, NOW + timedelta(days=2), "ramped"),
        (0.5, NOW + timedelta(days=2), None, None),
    ]
    event = state.events[-1]
    assert (event.from_state, event.to_state) == ("canary", "canary")
    assert event.evidence == {
        "canary_share": 0.5,
        "deployment_id": "d000002-v1",
        "raised_from": "d000001-v1",
    }
    kept = sorted(path.name for path in deployment.history_folder(settings).iterdir())
    assert kept == ["e00000001.json", "e00000002.json", "e00000003.json"]
    registry.promote(settings, at=NOW + timedelta(days=4))
    assert registry.champion(settings) == "v1"


def test_a_share_is_not_raised_before_the_canary_began(settings: Settings):
    """By a clock that is behind a deployment has no length, but never ends before it began."""
    start(settings)
    registry.ramp(settings, 0.5, at=NOW - timedelta(days=1))
    small, large = registry.state(settings).deployments
    assert (small.started_at, small.ended_at) == (NOW, NOW)
    assert large.started_at == NOW


@pytest.mark.parametrize("share", [0.05, 0.01, 1.0])
def test_a_share_can_only_be_raised(settings: Settings, share: float):
    with pytest.raises(FlywheelError, match="no share to raise"):
        registry.ramp(settings, 0.5, at=NOW)
    start(settings)
    before = manifest(settings)
    with pytest.raises(FlywheelError, match="can be raised to at most"):
        registry.ramp(settings, share, at=NOW)
    assert manifest(settings) == before


def test_the_warehouse_decides_whether_the_share_is_raised(settings: Settings, monkeypatch):
    """A look that is not safe leaves it; a safe one raises it, once, for the turn that began it."""
    started = start(settings)
    runs = []
    monkeypatch.setattr(loop, "run_dbt", lambda *_, **__: runs.append(1))

    def look(number: int, is_safe: bool, deployment_id: str = started.deployment_id) -> str:
        with connect(settings, read_only=False) as connection:
            connection.execute(
                "create table if not exists fct_canary_decisions (deployment_id varchar, "
                "look integer, look_date date, decision varchar, is_final boolean, reason varchar, "
                "metric varchar, delta double, ci_low double, ci_high double, e_value double, "
                "srm_p double, is_safe_to_ramp boolean)"
            )
            connection.execute(
                "create or replace view main_intermediate.int_deployments__decided as "
                + SqlProject().model("int_deployments__decided")
            )
            connection.execute(
                "insert into fct_canary_decisions by name select ? as deployment_id, ? as look, "
                "'continue' as decision, 'open' as reason, ? as is_safe_to_ramp",
                [deployment_id, number, is_safe],
            )
        verdict = loop.judge(settings, {"canary_ramp_share": 0.5}, Terminal(), at=NOW)
        assert verdict.decision == "continue"
        return verdict.reason

    with connect(settings, read_only=False) as connection:
        connection.execute(
            "insert into flywheel_state.iterations (iteration_id, deployment_id) "
            "values ('i0', 'd000000-v0'), ('i1', ?)",
            [started.deployment_id],
        )
    assert look(1, is_safe=False) == "open"
    assert registry.current_deployment(settings).canary_share == 0.05
    assert not runs
    assert "50% of the users" in look(2, is_safe=True)
    running = registry.current_deployment(settings)
    assert (running.canary_share, running.deployment_id) == (0.5, "d000002-v1")
    assert len(runs) == 1
    assert look(1, is_safe=False, deployment_id=running.deployment_id) == "open"
    assert len(registry.state(settings).deployments) == 2
    with connect(settings) as connection:
        turns = connection.execute("select deployment_id from flywheel_state.iterations").fetchall()
    assert sorted(turns) == [("d000000-v0",), (running.deployment_id,)]
    assert loop._record_interrupted(settings) == 0
