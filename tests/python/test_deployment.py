"""The deployment manifest: its form, its history, and that it appears whole."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from flywheel import deployment, files, registry
from flywheel.settings import Settings
from ranker_fixtures import NOW, FakeModel, new_flywheel


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
        "champion": {"model_version": "logged", "files": None},
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
        "champion": {"model_version": "logged", "files": None},
        "canary": {
            "model_version": "v1",
            "share": 0.05,
            "files": expected_files(settings, "v1"),
        },
    }
    registry.promote(settings, at=NOW + timedelta(hours=2))
    after = manifest(settings)
    assert after["champion"] == {"model_version": "v1", "files": expected_files(settings, "v1")}
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
