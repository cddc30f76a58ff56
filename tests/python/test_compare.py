"""The comparer of two revisions: what differs in hand-made warehouses, and in true builds."""

import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from bench import compare as comparer
from bench.compare import (
    Comparison,
    Difference,
    build,
    checked_out,
    compare_projects,
    compare_warehouses,
    copy_state,
    public_tables,
    sample_vars,
)
from bench.logs import write_log
from flywheel import variables
from flywheel.errors import FlywheelError
from flywheel.terminal import Terminal
from simulated import PROJECT

QUIET = Terminal(quiet=True)


def warehouse(path: Path, **tables: str) -> Path:
    """A DuckDB file with tables of these rows."""
    with duckdb.connect(str(path)) as connection:
        for name, rows in tables.items():
            connection.execute(f"create table {name} as {rows}")
    return path


def test_rows_are_compared_both_ways_with_repetitions(tmp_path: Path) -> None:
    left = warehouse(
        tmp_path / "left.duckdb",
        same="select * from (values (1, 0.1, ['a']), (2, null, null)) as t(id, x, words)",
        repeated="select * from (values (1), (1), (2)) as t(id)",
        moved="select * from (values (1, 'a', 0.5e0), (2, 'b', 0.5e0)) as t(id, word, x)",
        paired="select * from (values (1, 'a'), (2, 'b')) as t(id, word)",
        wider="select 1 as id, 2 as more",
        gone="select 1 as id",
        timed="select 1 as id, timestamp '2026-01-01' as built_at",
    )
    right = warehouse(
        tmp_path / "right.duckdb",
        # the same rows, written in another order
        same="select * from (values (2, null, null), (1, 0.1, ['a'])) as t(id, x, words)",
        repeated="select * from (values (1), (2), (2), (2)) as t(id)",
        moved="select * from (values (1, 'a', 0.5e0), (2, 'b', 0.4e0)) as t(id, word, x)",
        # each column by itself is the same
        paired="select * from (values (1, 'b'), (2, 'a')) as t(id, word)",
        wider="select 3 as less, 1 as id",
        timed="select 1 as id, timestamp '2026-01-02' as built_at",
        come="select 1 as id",
    )
    tables = ["same", "repeated", "moved", "paired", "wider", "gone", "timed", "come", "nowhere"]
    found = compare_warehouses(
        left, right, tables, left_out={"timed": {"built_at": "says when it was built"}}
    )
    assert found.differences == [
        Difference("repeated", n_left=1, n_right=2, columns=("id",)),
        Difference("moved", n_left=1, n_right=1, columns=("x",), largest={"x": pytest.approx(0.2)}),
        Difference("paired", n_left=2, n_right=2),
        Difference("wider", left_columns=("more",), right_columns=("less",)),
        Difference("gone", missing="right"),
        Difference("come", missing="left"),
    ]
    rows = {"same": 2, "repeated": 3, "moved": 2, "paired": 2, "wider": 1, "timed": 1}
    assert found.n_rows == rows
    sentences = [difference.sentence() for difference in found.differences]
    assert sentences[1] == "moved: 1 rows only left, 1 only right (in x by up to 2.0e-01)"
    assert sentences[3] == "wider: columns only left: more; columns only right: less"
    everything = compare_warehouses(left, right, ["timed"], left_out={})
    assert [difference.columns for difference in everything.differences] == [("built_at",)]


def test_a_revision_is_gits_or_a_folder(tmp_path: Path) -> None:
    with checked_out(str(PROJECT), tmp_path / "unused") as project:
        assert project == PROJECT
    if (PROJECT / ".git").exists():
        with checked_out("HEAD", tmp_path / "head") as project:
            assert (project / "dbt_project.yml").exists()
        assert not project.exists()
    with pytest.raises(FlywheelError, match="no-such is neither a folder with a project nor"):
        checked_out("no-such", tmp_path / "none").__enter__()


@pytest.mark.parametrize("differing", [0, 1])
def test_the_command_ends_with_1_where_anything_differs(
    differing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Comparison({"one": 3}, [Difference("one", n_left=2, columns=("x",))][:differing])
    given = []

    def compared(left: Path, right: Path, variables: Any, *_: Any, state: Any) -> Comparison:
        given.append((left, right, variables["flat_log"], state))
        return found

    monkeypatch.setattr(comparer, "compare_projects", compared)
    log = str(PROJECT / "README.md")
    arguments = [str(PROJECT), str(PROJECT), "--log", log, "--format", "flat"]
    done = CliRunner().invoke(comparer.compare, arguments)
    assert done.exit_code == differing
    assert ("one: 2 rows only left, 0 only right (in x)" in done.output) == bool(differing)
    assert given == [(PROJECT, PROJECT, log, None)]
    as_json = CliRunner().invoke(comparer.compare, [*arguments, "--json"])
    assert list(json.loads(as_json.output)["differences"]) == ["one"][:differing]
    both = CliRunner().invoke(comparer.compare, [*arguments, "--sample"])
    assert "Give one of --log, --sample and --home." in both.output


def test_the_sample_is_a_copy_whose_paths_both_sides_read(tmp_path: Path) -> None:
    given = sample_vars(PROJECT, tmp_path)
    for name in ("raw_queries", "raw_events", "ranking_features"):
        assert Path(given[name]).is_relative_to(tmp_path)
        assert Path(given[name]).exists()


def test_a_warehouse_begins_with_what_python_wrote_into_another(tmp_path: Path) -> None:
    written = tmp_path / "written.duckdb"
    with duckdb.connect(str(written)) as connection:
        connection.execute("create schema flywheel_state")
        for name in ("deployments", "builds", "loaded_files", "ranker_scores"):
            connection.execute(f"create table flywheel_state.{name} as select '{name}' as word")
    copy_state(written, tmp_path / "new.duckdb")
    with duckdb.connect(str(tmp_path / "new.duckdb"), read_only=True) as connection:
        # Not what builds remember: the new one has built nothing yet.
        assert sorted(connection.sql("select table_name from duckdb_tables()").fetchall()) == [
            ("deployments",),
            ("ranker_scores",),
        ]
        assert connection.sql("from flywheel_state.deployments").fetchall() == [("deployments",)]


@pytest.mark.slow
def test_a_planted_change_is_found_and_the_same_code_builds_the_same(tmp_path: Path) -> None:
    given = variables.for_log(str(write_log(tmp_path / "log", 5_000, "flat")), "flat", None)
    planted = tmp_path / "planted"
    shutil.copytree(
        PROJECT,
        planted,
        ignore=shutil.ignore_patterns(".git", ".venv", ".flywheel", "target", "logs"),
    )
    same = compare_projects(PROJECT, planted, given, tmp_path / "same", QUIET)
    assert same.differences == []
    assert same.n_rows["fct_impressions"] == 5_000
    model = planted / "models" / "marts" / "behavior" / "fct_impressions.sql"
    text = model.read_text()
    assert text.count("{{ var('sat_dwell_seconds') }}") == 1
    model.write_text(text.replace("{{ var('sat_dwell_seconds') }}", "100"))
    left = tmp_path / "same" / "left" / "warehouse.duckdb"
    right = build(planted, tmp_path / "changed", given)
    changed = compare_warehouses(left, right, public_tables(PROJECT))
    found = {difference.table: difference for difference in changed.differences}
    assert found["fct_impressions"].n_left == found["fct_impressions"].n_right > 0
    assert found["fct_impressions"].columns == ("is_sat_click",)
    assert "fct_searches" not in found
