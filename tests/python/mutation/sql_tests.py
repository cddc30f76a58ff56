"""Mutants before pytest: the tests that render models through `SqlProject` read the changed text.

A process per mutant, since pytest's modules cannot be run twice in one. It loads this module as a
plugin, and the plugin takes the mutant from the environment.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from mutation.mutants import Mutant, apply

TESTS = Path(__file__).resolve().parents[1]
VARIABLE = "FLYWHEEL_MUTANT"
PATIENCE = 300
"""Seconds for all test files of one mutant."""


def test_files(model: str) -> list[Path]:
    """The test files that render this model without dbt."""
    texts = {path: path.read_text() for path in sorted(TESTS.glob("test_*.py"))}
    return [p for p, t in texts.items() if "import SqlProject" in t and f'"{model}"' in t]


def noticed(mutant: Mutant, original: str) -> str:
    """The first test that fails on the mutant, or an empty text.

    Args:
        mutant: what to judge.
        original: the SQL of its model.
    """
    files = test_files(mutant.model)
    if not files:
        return ""
    given = json.dumps({"mutant": asdict(mutant), "original": original})
    paths = [str(TESTS), str(TESTS.parents[1] / "python")]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "mutation.sql_tests"]
    try:
        run = subprocess.run(
            [*command, "--no-header", "--tb=no", *map(str, files)],
            cwd=TESTS.parents[1],
            env=os.environ | {VARIABLE: given, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return "a test that does not end"
    if run.returncode == 0:
        return ""
    failed = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if run.returncode != 1 or not failed:
        raise RuntimeError(f"pytest did not run on {mutant}:\n{run.stdout}{run.stderr}")
    return failed[0].split(" ")[1].split("::")[-1]


def pytest_configure() -> None:
    """Let `SqlProject` render the mutant where it renders its model."""
    if VARIABLE not in os.environ:
        return
    from sql_project import SqlProject

    given = json.loads(os.environ[VARIABLE])
    fields = given["mutant"]
    fields["path"] = tuple((name, index) for name, index in fields["path"])
    mutant, original = Mutant(**fields), given["original"]
    unchanged = SqlProject.model

    def model(project: SqlProject, name: str) -> str:
        text = unchanged(project, name)
        return (apply(mutant, text, original) or text) if name == mutant.model else text

    SqlProject.model = model
