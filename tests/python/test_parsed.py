"""The kept parse: what it depends on, and that it builds what a fresh one builds."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import PROJECT, Flywheel
from flywheel import parsed
from flywheel.contract import shape
from flywheel.dbt import parse
from flywheel.settings import Settings
from killing import contents
from simulated import settings_of, small_world, write_flat

COMPILED = (
    *("build_path", "compiled", "compiled_code", "compiled_path", "extra_ctes"),
    *("extra_ctes_injected", "_pre_injected_sql", "relation_name", "deferred"),
)
"""What a run writes into a node, and compiles anew the next time."""

CHANGED = {
    "log_format": "flat",
    "propensity_estimator": "ipf",
    "gate_metric": "ips_gain_at_10",
    "propensity_contexts": ["device"],
    "dev_targets": [],
    "bot_user_agent_patterns": [],
    "human_user_agent_patterns": [],
}
"""Vars whose other value must be one of a kind."""


@pytest.fixture
def project(tmp_path: Path) -> Settings:
    """A small project with a file of each kind that dbt reads."""
    folder = tmp_path / "project"
    for name, text in {
        "dbt_project.yml": "name: tiny\nprofile: tiny\n",
        "profiles.yml": "tiny: {}\n",
        "selectors.yml": "selectors: []\n",
        "models/a.sql": "select 1 as a\n",
        "macros/b.sql": "{% macro b() %}1{% endmacro %}\n",
        "seeds/c.csv": "c\n1\n",
        "tests/d.sql": "select 1 where false\n",
        "analyses/e.sql": "select 1\n",
        "models/f.yml": "version: 2\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    home = tmp_path / "home"
    return Settings(project=folder, home=home, database=home / "warehouse.duckdb")


@pytest.mark.parametrize(
    "name",
    [
        *("dbt_project.yml", "profiles.yml", "selectors.yml", "models/a.sql", "macros/b.sql"),
        *("seeds/c.csv", "tests/d.sql", "analyses/e.sql", "models/f.yml"),
    ],
)
def test_a_changed_file_asks_for_another_manifest(project: Settings, name: str) -> None:
    before = parsed.key(project)
    assert parsed.key(project) == before
    file = project.project / name
    changed = file.read_text().replace("1", "2") + "# more\n"
    file.write_text(changed)
    after = parsed.key(project)
    assert after != before
    file.rename(file.with_name(f"other_{file.name}"))
    assert parsed.key(project) not in (before, after)


def test_the_catalog_the_target_and_dbt_ask_for_another_manifest(
    project: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = parsed.key(project)
    assert parsed.key(replace(project, home=project.home / "elsewhere")) == before
    other = replace(project, database=project.home / "other.duckdb")
    assert parsed.key(other) != before
    monkeypatch.setenv("FLYWHEEL_TARGET", "somewhere")
    assert parsed.key(project) != before
    monkeypatch.delenv("FLYWHEEL_TARGET")
    monkeypatch.setattr(parsed, "version", lambda name: "9.9")
    assert parsed.key(project) != before


def test_python_and_logs_ask_for_nothing(project: Settings) -> None:
    before = parsed.key(project)
    for name in ("tests/python/test_a.py", "seeds/log.ndjson.gz", "python/a.py", "README.md"):
        file = project.project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"1")
    assert parsed.key(project) == before


def test_a_damaged_manifest_is_parsed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path)
    manifest = parse(settings)
    monkeypatch.setattr(parsed, "_folders", lambda settings: (tmp_path / "target",))
    monkeypatch.setattr(parsed, "_loaded", {})
    assert parsed.load(settings) is None
    parsed.keep(settings, manifest)
    assert parsed.load(settings) is manifest

    parsed._loaded.clear()
    again = parsed.load(settings)
    assert again is not None and again is not manifest
    assert _comparable(again) == _comparable(manifest)

    parsed._loaded.clear()
    (kept,) = (tmp_path / "target").glob("flywheel-manifest-*.msgpack")
    kept.write_bytes(kept.read_bytes()[:-1000])
    assert parsed.load(settings) is None


def test_a_folder_that_cannot_be_written_leaves_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path)
    manifest = parse(settings)
    (tmp_path / "file").write_text("no folder")
    folders = (tmp_path / "file" / "target", tmp_path / "target")
    monkeypatch.setattr(parsed, "_folders", lambda settings: folders)
    monkeypatch.setattr(parsed, "_loaded", {})
    parsed.keep(settings, manifest)
    parsed._loaded.clear()
    assert parsed.load(settings) is not None
    assert len(list(folders[1].iterdir())) == 1


def test_old_manifests_make_room(project: Settings) -> None:
    folder = project.project / "target"
    folder.mkdir()
    for number in range(7):
        (folder / f"flywheel-manifest-{number}.msgpack").write_bytes(b"")
    (folder / "manifest.json").write_text("{}")
    parsed._make_room(folder)
    assert len(list(folder.glob("flywheel-manifest-*"))) == parsed.KEPT
    assert (folder / "manifest.json").exists()


@pytest.mark.slow
def test_no_var_changes_the_manifest(tmp_path: Path) -> None:
    """Every var gets another value, and dbt parses the same project."""
    home = tmp_path / "home"
    before = _comparable(parse(settings_of(home)))
    after = _comparable(_parsed_with(_other_values(), home))
    assert before.keys() == after.keys()
    for name, node in before.items():
        assert node == after[name], name


@pytest.mark.slow
def test_a_kept_manifest_builds_what_a_fresh_parse_builds(
    make_flywheel: Callable[[str], Flywheel], tmp_path: Path
) -> None:
    world = small_world()
    columns = ("user_id", "device", "is_randomised")
    given = {
        "log_format": "flat",
        "flat_log": str(write_flat(world, tmp_path / "log.parquet", columns=columns)),
        "ranking_features": str(world.write_features(tmp_path / "features.parquet")),
        "propensity_contexts": ["device"],
        "propensity_estimator": "ipf",
        "training_window_days": 10,
        "bootstrap_replicates": 50,
    }
    fresh, kept = make_flywheel("fresh"), make_flywheel("kept")
    run = fresh.dbt("build", "--quiet", "--no-partial-parse", "--exclude-resource-type",
                    "test", "--exclude-resource-type", "unit_test", **given)  # fmt: skip
    assert run.status == 0, run.output
    options = [f"--var={name}={_as_text(value)}" for name, value in given.items()]
    run = kept.command("build", "--no-tests", *options)
    assert run.status == 0, run.output
    before, after = contents(fresh), contents(kept)
    assert before.keys() == after.keys()
    for table in before:
        assert before[table] == after[table], table
    assert before["fct_impressions"] and before["fct_training_groups"]
    assert any("device=" in row for row in before["fct_position_propensities"])


SHAPED: list[tuple[str, str]] = [
    ("{{ config(enabled=var('x')) }} select 1", "a var decides what config() is given"),
    ("{% if var('x') %} select * from {{ ref('b') }} {% endif %}", "whether ref() is called"),
    ("select * from {{ ref('a' if var('x') else 'b') }}", "what ref() is given"),
    ("{{ ref('a') if var('x') else ref('b') }}", "whether ref() is called"),
    (
        "{% set names = var('x') %}{% for n in names %}{{ source('s', n) }}{% endfor %}",
        "whether source() is called",
    ),
    ("{% if is_on() %}{{ ref('b') }}{% endif %}", "whether ref() is called"),
    ("{% if var('x') %}{{ reads_a_source() }}{% endif %}", "whether reads_a_source() is called"),
    ("{{ config(tags=[twice_removed()]) }}", "what config() is given"),
]
HARMLESS = [
    "select {{ var('x') }} from {{ ref('a') }}",
    "select * from {{ ref('a') }} {% if var('x') %} where is_on {% endif %}",
    "{{ config(tags=['a']) }} {% set x = var('x') %} select {{ x }} from {{ reads_a_source() }}",
    "{% if is_incremental() %}{{ source('s', 't') }}{% endif %}",
]


@pytest.mark.parametrize(("sql", "sentence"), SHAPED)
def test_a_var_that_shapes_the_parse_is_found(sql: str, sentence: str) -> None:
    found = shape.breaches(_manifest(sql))
    assert found
    assert all(f.startswith("fct_things: a var decides") and sentence in f for f in found)


@pytest.mark.parametrize("sql", HARMLESS)
def test_a_var_in_the_sql_is_harmless(sql: str) -> None:
    assert shape.breaches(_manifest(sql)) == []


def test_a_var_in_yaml_config_is_found_and_in_a_hook_is_not() -> None:
    manifest = _manifest("select 1")
    config = {"materialized": "{{ 'view' if var('x') else 'table' }}"}
    config["post-hook"] = "{{ var('x') }}"
    manifest["nodes"]["model.tiny.fct_things"]["unrendered_config"] = config
    (found,) = shape.breaches(manifest)
    assert found.startswith("fct_things: its config materialized reads a var")


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _manifest(sql: str) -> dict[str, Any]:
    macros = {
        "is_on": "{% macro is_on() %}{{ return(var('x')) }}{% endmacro %}",
        "twice_removed": "{% macro twice_removed() %}{{ is_on() }}{% endmacro %}",
        "reads_a_source": "{% macro reads_a_source() %}{{ source('s', 't') }}{% endmacro %}",
    }
    return {
        "metadata": {"project_name": "tiny"},
        "nodes": {
            "model.tiny.fct_things": {
                "name": "fct_things",
                "resource_type": "model",
                "raw_code": sql,
                "unrendered_config": {},
            }
        },
        "macros": {
            name: {"name": name, "package_name": "tiny", "macro_sql": text}
            for name, text in macros.items()
        },
    }


def _other_values() -> dict[str, Any]:
    declared = yaml.safe_load((PROJECT / "dbt_project.yml").read_text("utf-8"))["vars"]
    return {name: CHANGED[name] if name in CHANGED else _other(v) for name, v in declared.items()}


def _other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1 if value >= 1 else value / 2 + 0.01
    if isinstance(value, list) and not isinstance(value[0], str):
        return value[1:]
    return f"{value}-other"


def _parsed_with(variables: dict[str, Any], home: Path) -> Any:
    from dbt.cli.main import dbtRunner

    arguments = ["--quiet", "parse", "--no-partial-parse", "--target-path", str(home)]
    arguments += ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    arguments += ["--log-path", str(home), "--vars", json.dumps(variables)]
    outcome = dbtRunner().invoke(arguments)
    assert outcome.success, outcome.exception
    return outcome.result


def _comparable(manifest: Any) -> dict[str, Any]:
    """Every node, without the moment it was parsed."""
    told = parsed.as_json(manifest)
    nodes: dict[str, Any] = {}
    for kind in ("nodes", "sources", "exposures", "unit_tests", "macros", "groups", "disabled"):
        nodes |= {f"{kind} {name}": node for name, node in told[kind].items()}
    for node in nodes.values():
        if isinstance(node, dict):
            for name in ("created_at", *COMPILED):
                node.pop(name, None)
            for of_sets in (node, node.get("depends_on") or {}):
                for kind in ("nodes", "macros", "refs", "sources"):
                    if isinstance(of_sets.get(kind), list):
                        of_sets[kind] = sorted(of_sets[kind], key=str)
    return nodes


def test_settings_of_tests_have_the_catalog_of_the_project(tmp_path: Path) -> None:
    """Else each test would parse the project anew."""
    default = Settings(PROJECT, PROJECT / ".flywheel", PROJECT / ".flywheel/warehouse.duckdb")
    assert parsed.key(settings_of(tmp_path)) == parsed.key(default)
