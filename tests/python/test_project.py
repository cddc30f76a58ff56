"""What every var, analysis and file of the project keeps to, and the strict gate.

The rules for models, columns, tests and macros are in flywheel.contract.policy (test_policy.py).
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from conftest import PROJECT, Flywheel, Run
from flywheel import parsed
from flywheel.analyses import execute
from flywheel.cli import cli
from flywheel.dbt import parse
from flywheel.report.queries import QUESTIONS
from patience import PATIENCE
from simulated import settings_of
from sql_project import SqlProject

FORBIDDEN = {
    "an engine's own hash": r"(?<![\w.])hash\s*\(",
    "randomness": r"(?<![\w.])(random|rand|setseed|gen_random_uuid|uuid)\s*\(",
    "a branch on the target": r"\btarget\s*\.\s*name\b",
}
GUARD = "refuse_unwanted_rebuild.sql"
"""Stops a rebuild of published tables; which targets those are is what it is about."""
METRICS = f"read_csv('{PROJECT / 'seeds' / 'metrics.csv'}')"
LARGEST_FILE = 1_000_000  # bytes


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The manifest of the project as it is."""
    return parsed.as_json(parse(settings_of(tmp_path_factory.mktemp("parse"))))


def test_vars_are_documented_with_their_defaults() -> None:
    declared = yaml.safe_load((PROJECT / "dbt_project.yml").read_text("utf-8"))["vars"]
    documented: dict[str, str] = {}
    for line in (PROJECT / "docs" / "vars.md").read_text("utf-8").splitlines():
        if not re.match(r"\| `[a-z]", line):
            continue  # no var's row
        first, default = (cell.strip() for cell in line.split("|")[1:3])
        names = re.findall(r"`([a-z_]+)`", first)
        defaults = re.split(r", (?![^\[]*\])", default)  # but not within a list
        documented.update(zip(names, defaults * (len(names) // len(defaults)), strict=True))
    assert set(documented) == set(declared)
    shipped = {"the sample log", "the sample's"}
    for name, default in declared.items():
        text = documented[name].strip("`")
        if text in shipped:
            assert str(default).startswith("seeds/sample_log/"), name
        else:
            wanted = "" if text == "empty" else yaml.safe_load(text)
            assert str(wanted) == str(default), name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("log_format", "csv"),
        ("propensity_estimator", "best"),
        ("training_window_days", 0),
        ("ips_clip", "large"),
        ("tight_ips_clip", -5),
        ("canary_share", 1),
        ("canary_ramp_share", 1),
        ("hidden_history_share", 1),
        ("hidden_history_share", "a third"),
        ("propensity_alpha", -0.1),
        ("bot_click_rate_bands", [0.5, 0.1]),
    ],
)
def test_an_impossible_var_is_a_sentence_that_names_it(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{name} is .+; it must .+\.$"):
        SqlProject(**{name: value}).macro("check_vars")


def test_the_vars_of_the_project_are_possible() -> None:
    assert not SqlProject().macro("check_vars").strip()
    assert not SqlProject().macro("check_gate_metric", METRICS).strip()


@pytest.mark.parametrize("name", ["auc", "ctr"])
def test_the_gate_metric_is_an_offline_goal_of_the_seed(name: str) -> None:
    said = rf"^gate_metric is '{name}'; it must be one of ndcg_at_10, .+, snips_mrr\.$"
    with pytest.raises(ValueError, match=said):
        SqlProject(gate_metric=name).macro("check_gate_metric", METRICS)


def test_vars_are_used() -> None:
    sql = "\n".join(p.read_text("utf-8") for p in _sql("models", "macros", "tests"))
    declared = yaml.safe_load((PROJECT / "dbt_project.yml").read_text("utf-8"))["vars"]
    used = set(re.findall(r"var\(\s*['\"]([a-z_]+)['\"]", sql))
    used |= {"raw_queries", "raw_events", "flat_log"}  # named by a macro's argument
    used |= {"canary_share"}  # of the next deployment: flywheel.loop hands it over
    assert used == set(declared)


@pytest.mark.parametrize("what", FORBIDDEN)
def test_sql_is_free_of(what: str) -> None:
    found = [
        str(path.relative_to(PROJECT))
        for path in _sql("models", "macros", "analyses", "tests")
        if path.name != GUARD and re.search(FORBIDDEN[what], path.read_text("utf-8"))
    ]
    assert found == []


# The sample is sound, and nobody has trained or deployed a model on it.
EMPTY_ON_THE_SAMPLE = {
    *("quarantine_by_reason", "does_the_gate_predict_users", "gate_against_users"),
    *("newest_evaluation", "newest_verdict", "looks_at_canaries", "turns_of_the_loop"),
    *("metrics_at_looks", "models_and_champions"),
}


def test_analyses_are_described_and_run(
    sample: Flywheel, flywheel: Flywheel, manifest: dict[str, Any]
) -> None:
    analyses = [n for n in manifest["nodes"].values() if n["resource_type"] == "analysis"]
    assert {a["name"] for a in analyses} == {p.stem for p in _sql("analyses")}
    flywheel.home.mkdir()
    shutil.copy(sample.database, flywheel.database)
    run = flywheel.dbt("compile", "--quiet", "--select", "resource_type:analysis")
    assert run.status == 0, run.output
    compiled = flywheel.home / "target" / "compiled" / "eval_flywheel" / "analyses"
    with duckdb.connect(str(sample.database), read_only=True) as connection:
        answers = execute(connection, PROJECT, [a["name"] for a in analyses])
    for analysis in analyses:
        name = analysis["name"]
        assert analysis["description"], name
        assert analysis["raw_code"].startswith("-- "), "an analysis begins with its question"
        sql = (compiled / f"{name}.sql").read_text("utf-8")
        assert (name in QUESTIONS.values()) == ("people alone" not in analysis["description"])
        # What dbt makes of it, and what the report asks without dbt.
        assert sample.rows(sql) == [tuple(row.values()) for row in answers[name]], name
        assert answers[name] or name in EMPTY_ON_THE_SAMPLE, name


def test_lock_pins_every_requirement_and_no_address() -> None:
    lock = (PROJECT / "requirements.lock").read_text("utf-8")
    assert "://" not in lock and "index-url" not in lock
    pinned = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", lock, re.MULTILINE))
    for line in (PROJECT / "requirements.in").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, version = line.partition("==")
            name = re.split(r"[<>=!~]", name)[0]
            assert name in pinned, name
            assert version in ("", pinned[name]), name
    loose = [x for x in lock.splitlines() if x and not x.startswith("#") and "==" not in x]
    assert loose == []


def test_tracked_files_are_small() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    paths = [PROJECT / name for name in listed.stdout.split("\0") if name]
    assert [str(p) for p in paths if p.exists() and p.stat().st_size > LARGEST_FILE] == []


def test_ci_runs_the_tests() -> None:
    script = PROJECT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert "make test" in script.read_text("utf-8").splitlines()


def test_documented_commands_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text("utf-8"), re.M))
    for page in [*PROJECT.glob("*.md"), *(PROJECT / "docs").glob("*.md")]:
        text = page.read_text("utf-8")
        code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`|^ {4}.*$", text, re.M | re.S))
        made = {w for w in re.findall(r"\bmake ([a-z]+)\b", code)}
        called = set(re.findall(r"(?:^|[`\s])flywheel ([a-z]+)\b", code, re.M))
        assert made <= targets, page.name
        assert called <= set(cli.commands), page.name


@pytest.mark.slow  # make test begins with it
def test_strict_parse_passes() -> None:
    run = _strict(PROJECT)
    assert run.status == 0, run.output


@pytest.mark.slow
def test_strict_parse_finds_a_planted_deprecation(tmp_path: Path) -> None:
    _copy_project(tmp_path)
    run = _strict(tmp_path)
    assert run.status == 0, run.output
    sources = tmp_path / "models" / "_sources.yml"
    sources.write_text(sources.read_text("utf-8") + "\nnot_a_key_of_dbt: true\n", "utf-8")
    run = _strict(tmp_path)
    assert run.status == 1
    assert "not_a_key_of_dbt" in run.output


def test_strict_gate_finds_a_planted_breach_of_policy(tmp_path: Path) -> None:
    _copy_project(tmp_path)
    folder = tmp_path / "models" / "staging" / "ubi"
    folder.mkdir(parents=True)
    (folder / "ubi_things.sql").write_text("select 1 as a\n", "utf-8")
    run = _strict(tmp_path)
    assert run.status == 1
    assert "policy: ubi_things: no test proves a key" in run.output
    assert "policy: ubi_things: is no name for a model in models/staging/ubi." in run.output


def _sql(*folders: str) -> list[Path]:
    return [path for folder in folders for path in (PROJECT / folder).rglob("*.sql")]


def _copy_project(to: Path) -> None:
    """The project's frame without its models: parsing those takes most of the gate's time."""
    for name in ("_groups.yml", "_sources.yml"):
        (to / "models").mkdir(exist_ok=True)
        shutil.copy(PROJECT / "models" / name, to / "models" / name)
    for name in ("dbt_project.yml", "profiles.yml", "docs/vars.md"):
        (to / name).parent.mkdir(exist_ok=True)
        shutil.copy(PROJECT / name, to / name)


def _strict(project: Path) -> Run:
    """Run the strict parse in a process of its own: it changes dbt for good."""
    done = subprocess.run(
        [sys.executable, "-m", "flywheel.strict"],
        env={
            **os.environ,
            "FLYWHEEL_PROJECT": str(project),
            "PYTHONPATH": str(PROJECT / "python"),
            "DO_NOT_TRACK": "1",
        },
        cwd=project,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return Run(done.returncode, done.stdout + done.stderr, done.stdout)
