"""Commands in forks of a warm process end as they would in processes of their own."""

import os
from pathlib import Path

import pytest

import warm
from warm import PROJECT


def environment(home: Path) -> dict[str, str]:
    return {
        **os.environ,
        "FLYWHEEL_PROJECT": str(PROJECT),
        "FLYWHEEL_HOME": str(home),
        "FLYWHEEL_DB": str(home / "warehouse.duckdb"),
    }


def test_status_and_both_outputs_are_the_commands(tmp_path: Path) -> None:
    fine = warm.run("flywheel", ["--help"], cwd=tmp_path, environment=environment(tmp_path))
    assert (fine[0], fine[2]) == (0, "")
    assert fine[1].startswith("Usage: flywheel")
    wrong = warm.run("flywheel", ["nonsense"], cwd=tmp_path, environment=environment(tmp_path))
    assert (wrong[0], wrong[1]) == (2, "")
    assert "nonsense" in wrong[2]


def test_a_hang_is_killed_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "PATIENCE", 0.2)
    with pytest.raises(TimeoutError, match="flywheel build: not within 0 s"):
        warm.run("flywheel", ["build"], cwd=tmp_path, environment=environment(tmp_path))
    after = warm.run("flywheel", ["--help"], cwd=tmp_path, environment=environment(tmp_path))
    assert after[0] == 0
