"""Policy: what every model, macro, var, analysis and file of the project keeps to."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import PROJECT, Flywheel, Run
from flywheel.cli import cli

PUBLIC_TABLES = {
    "fct_searches": "search_id session_id user_id searched_at query normalized_query variant "
    "model_version is_bot n_shown n_clicks is_abandoned",
    "fct_impressions": "search_id doc_id rank clicked dwell_seconds is_sat_click is_last_click "
    "is_pogo is_randomised",
    "fct_sessions": "session_id user_id started_at ended_at n_searches n_clicks is_success "
    "is_bounce is_abandoned is_bot bot_reasons",
    "fct_quarantined_rows": "quarantine_id source reason payload",
    "fct_position_propensities": "estimator context rank propensity ci_low ci_high n_impressions "
    "n_clicks is_identified is_active",
    "fct_propensity_diagnostics": "estimator context effective_sample_size max_weight_share "
    "clipped_share alpha alpha_std_error n_connected_components trust_bias_p",
    "fct_weak_labels": "query doc_id window_start window_end label weight votes naive_ctr ips_ctr",
    "fct_training_pairs": "query positive_doc weight negative_docs n_clicks window_start "
    "window_end",
    "fct_training_groups": "group_id query doc_id is_positive weight",
    "fct_training_manifest": "window_start window_end n_searches n_pairs fingerprint vars",
    "fct_ranker_scores": "model_version search_id doc_id score",
    "fct_offline_evaluations": "model_version metric value ci_low ci_high champion_version delta "
    "delta_ci_low delta_ci_high n",
    "fct_canary_metrics": "deployment_id look_date variant metric n_users sum_y sum_d sum_yy "
    "sum_dd sum_yd",
    "fct_canary_decisions": "deployment_id look decision reason e_value ci_low ci_high srm_p",
    "dim_model_versions": "model_version state window_start window_end artifact_path "
    "artifact_sha256",
    "fct_flywheel_iterations": "offline_delta offline_delta_ci_low offline_delta_ci_high "
    "online_delta online_delta_ci_low online_delta_ci_high decision fingerprint",
}
# Why a table has no key of its own.
WITHOUT_KEY = {
    "int_windows": "has one row",
    "int_behavior_events": "is a log of amounts that are only ever summed",
}
FORBIDDEN = {
    "an engine's own hash": r"(?<![\w.])hash\s*\(",
    "randomness": r"(?<![\w.])(random|rand|setseed|gen_random_uuid|uuid)\s*\(",
    "a branch on the target": r"\btarget\s*\.\s*name\b",
}
GUARD = "start_build.sql"
"""Stops a rebuild of published tables; which targets those are is what it is about."""
LARGEST_FILE = 1_000_000  # bytes


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The manifest of a fresh parse."""
    from dbt.cli.main import dbtRunner

    target = tmp_path_factory.mktemp("parse")
    arguments = ["--quiet", "parse", "--no-partial-parse", "--target-path", str(target)]
    arguments += ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    assert dbtRunner().invoke([*arguments, "--log-path", str(target)]).success
    return dict(json.loads((target / "manifest.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="session")
def models(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    nodes = manifest["nodes"].values()
    return {node["name"]: node for node in nodes if node["resource_type"] == "model"}


def test_models_say_what_a_row_is(models: dict[str, dict[str, Any]]) -> None:
    assert len(models) > 50
    silent = [n for n, m in models.items() if len(m["description"].split()) < 4]
    assert silent == []


def test_columns_are_described_and_typed(models: dict[str, dict[str, Any]]) -> None:
    lacking = [
        f"{name}.{column['name']}"
        for name, model in models.items()
        for column in model["columns"].values()
        if not column["description"] or not column["data_type"]
    ]
    assert lacking == []


def test_columns_are_all_listed(sample: Flywheel, models: dict[str, dict[str, Any]]) -> None:
    """YAML and warehouse name the same columns; ranking features (f_*) come with the user."""
    built: dict[str, set[str]] = {}
    for table, column in sample.rows("select table_name, column_name from duckdb_columns()"):
        built.setdefault(table, set()).add(column)
    for name, model in models.items():
        unlisted = {c for c in built[name] - set(model["columns"]) if not c.startswith("f_")}
        assert unlisted == set(), name
        assert set(model["columns"]) <= built[name], name


def test_marts_have_contracts(models: dict[str, dict[str, Any]]) -> None:
    marts = [m for m in models.values() if m["path"].startswith("marts/")]
    assert len(marts) >= len(PUBLIC_TABLES)
    assert [m["name"] for m in marts if not m["contract"]["enforced"]] == []


def test_public_tables_have_their_key_columns(models: dict[str, dict[str, Any]]) -> None:
    for table, columns in PUBLIC_TABLES.items():
        assert set(columns.split()) <= set(models[table]["columns"]), table
        assert models[table]["schema"] == "main", table


def test_keys_are_tested(manifest: dict[str, Any], models: dict[str, dict[str, Any]]) -> None:
    tested = {
        node["attached_node"]
        for node in manifest["nodes"].values()
        if (node.get("test_metadata") or {}).get("name") in ("unique", "unique_combination")
    }
    keyless = {name for name, model in models.items() if model["unique_id"] not in tested}
    assert keyless == set(WITHOUT_KEY)


def test_macros_are_documented(manifest: dict[str, Any]) -> None:
    """All but the engines' spellings (engine__name), which share the documentation of `name`."""
    own = [m for m in manifest["macros"].values() if m["package_name"] == "eval_flywheel"]
    public = [m for m in own if "__" not in m["name"] and not m["name"].startswith("test_")]
    assert len(public) > 40
    for macro in public:
        assert macro["description"], macro["name"]
        signature = re.search(rf"macro {macro['name']}\s*\(([^)]*)\)", macro["macro_sql"])
        assert signature is not None
        names = [a.split("=")[0].strip() for a in signature[1].split(",") if a.strip()]
        documented = macro["arguments"]
        assert [a["name"] for a in documented] == names, macro["name"]
        assert all(a["type"] and a["description"] for a in documented), macro["name"]


def test_vars_are_documented_with_their_defaults() -> None:
    declared = yaml.safe_load((PROJECT / "dbt_project.yml").read_text("utf-8"))["vars"]
    documented: dict[str, str] = {}
    for line in (PROJECT / "docs" / "vars.md").read_text("utf-8").splitlines():
        if not re.match(r"\| `[a-z]", line):
            continue  # no var's row
        first, default = (cell.strip() for cell in line.split("|")[1:3])
        names = re.findall(r"`([a-z_]+)`", first)
        defaults = default.split(", ")
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


def test_analyses_are_described_and_run(sample: Flywheel, manifest: dict[str, Any]) -> None:
    analyses = [n for n in manifest["nodes"].values() if n["resource_type"] == "analysis"]
    assert {a["name"] for a in analyses} == {p.stem for p in _sql("analyses")}
    # A run that built the sample has compiled them; its folder says what they became.
    run = sample.plain_dbt("compile", "--quiet", "--select", "resource_type:analysis")
    assert run.status == 0, run.output
    compiled = sample.home / "target" / "compiled" / "eval_flywheel" / "analyses"
    for analysis in analyses:
        assert analysis["description"], analysis["name"]
        assert analysis["raw_code"].startswith("-- "), "an analysis begins with its question"
        sql = (compiled / f"{analysis['name']}.sql").read_text("utf-8")
        rows = sample.rows(sql)
        assert rows or analysis["name"] == "quarantine_by_reason", analysis["name"]


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


def test_strict_parse_passes() -> None:
    run = _strict(PROJECT)
    assert run.status == 0, run.output


def test_strict_parse_finds_a_planted_deprecation(tmp_path: Path) -> None:
    for name in ("models", "macros", "seeds", "tests", "analyses"):
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=shutil.ignore_patterns("python"))
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(PROJECT / name, tmp_path / name)
    sources = tmp_path / "models" / "_sources.yml"
    sources.write_text(sources.read_text("utf-8") + "\nnot_a_key_of_dbt: true\n", "utf-8")
    run = _strict(tmp_path)
    assert run.status == 1
    assert "not_a_key_of_dbt" in run.output


def _sql(*folders: str) -> list[Path]:
    return [path for folder in folders for path in (PROJECT / folder).rglob("*.sql")]


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
        timeout=120,
    )
    return Run(done.returncode, done.stdout + done.stderr, done.stdout)
