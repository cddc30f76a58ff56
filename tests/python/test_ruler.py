"""The ruler: logs of any size, the script that is measured beside the project, and the table."""

import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from bench import ruler
from bench.__main__ import main
from bench.core import run_core
from bench.logs import DAYS, FORMS, write_log
from conftest import PROJECT, Flywheel
from flywheel import variables
from flywheel.settings import Settings

IMPRESSIONS = 10_000


def built(flywheel: Flywheel, form: str, select: str) -> Flywheel:
    """The flywheel, built from a log that it keeps in its home."""
    log = write_log(flywheel.home / "log", IMPRESSIONS, form)
    log_format = "flat" if form == "flat" else "ubi"
    given = variables.for_log(str(log), log_format, None)
    flywheel.build(select=select, tests=False, **given)
    return flywheel


@pytest.fixture(scope="module")
def flat(make_flywheel: Callable[[str], Flywheel]) -> Flywheel:
    return built(make_flywheel("ruler"), "flat", "+fct_sessions +fct_position_propensities")


@pytest.fixture(scope="module")
def core(
    flat: Flywheel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[duckdb.DuckDBPyConnection]:
    """The script's tables on the same log, its fixed point run until nothing moves."""
    database = tmp_path_factory.mktemp("core") / "core.duckdb"
    run_core(flat.home / "log" / "flat.parquet", database, steps=1000)
    with duckdb.connect(str(database), read_only=True) as connection:
        yield connection


@pytest.mark.slow
def test_the_forms_of_a_log_are_the_same_log(
    flat: Flywheel, make_flywheel: Callable[[str], Flywheel]
) -> None:
    facts = """
        select
            count(*), sum(clicked), count(distinct search_id), count(distinct session_id),
            sum(hash_of_row)
        from (
            select *, cast('0x' || substr(md5(concat_ws('|',
                search_id, user_id, query, doc_id, rank, clicked, clicked_at, dwell_seconds,
                is_sat_click, is_last_click, is_pogo, device, searched_at
            )), 1, 13) as bigint) as hash_of_row
            from fct_impressions
        )
    """
    found = {"flat": flat.rows(facts)[0]}
    for form in FORMS[1:]:
        found[form] = built(make_flywheel(form), form, "+fct_impressions").rows(facts)[0]
    assert found["flat"][0] == IMPRESSIONS
    assert found["flat"][1] > IMPRESSIONS / 30
    assert len(set(found.values())) == 1, found


def test_a_log_is_the_same_again_and_has_heavy_tails(tmp_path: Path) -> None:
    logs = [write_log(tmp_path / name, 100_000, "flat") for name in ("one", "two")]
    with duckdb.connect() as connection:
        one, two = (f"read_parquet('{log}')" for log in logs)
        assert not connection.sql(f"from {one} except all from {two}").fetchall()
        (counts,) = connection.sql(
            f"""
            select
                count(*), count(distinct search_id), count(distinct query),
                count(distinct cast(searched_at as date)),
                max(clicked_at - searched_at) < interval 100 second,
                count(*) filter (where clicked and clicked_at is null)
            from {one}
            """
        ).fetchall()
        assert counts[:2] == (100_000, 10_000)
        # A Zipf law over .6 n queries: the mean of 1 - (1 - p)^n, summed over them.
        assert counts[2] == pytest.approx(
            sum(1 - (1 - zipf_share(k, 6_000)) ** 10_000 for k in range(1, 6_000)), rel=0.03
        )
        assert counts[3:] == (DAYS, True, 0)
        # Of n independent clicks at rank k, as many as relevance / k says, within four errors.
        by_rank = connection.sql(
            f"select rank, count(*), avg(cast(clicked as double)) from {one} group by rank"
        ).fetchall()
        shares = {rank: share for rank, _, share in by_rank}
        for rank, n, share in by_rank:
            error = (share * (1 - share) / n) ** 0.5
            assert 0.08 / rank - 4 * error < share < 0.58 / rank + 4 * error
        assert shares[1] > 3 * shares[5] > 0
        ((n_ranks,),) = connection.sql(
            f"select avg(n) from (select count(distinct rank) as n, count(*) as shown from {one} "
            "group by doc_id) where shown >= 10"
        ).fetchall()
        assert n_ranks > 3


def zipf_share(number: int, n: int) -> float:
    """Chance of floor(n^u) for a uniform u."""
    return math.log((number + 1) / number) / math.log(n)


@pytest.mark.slow
def test_the_script_counts_what_the_project_counts(
    flat: Flywheel, core: duckdb.DuckDBPyConnection
) -> None:
    counts = {
        "sessions": "select count(*), sum(n_searches), sum(n_clicks) from {sessions}",
        "impressions": "select count(*), sum(cast(clicked as integer)), count(clicked_at) "
        "from {impressions}",
        "dwell": "select count(dwell_seconds), round(sum(dwell_seconds), 3), "
        "count(case when dwell_seconds >= 30 then 1 end) from {impressions}",
        "spans": "select min(started_at), max(ended_at), count(distinct user_id) from {sessions}",
    }
    for name, sql in counts.items():
        mine = core.execute(sql.format(sessions="sessions", impressions="impressions")).fetchall()
        theirs = flat.rows(sql.format(sessions="fct_sessions", impressions="fct_impressions"))
        assert mine == theirs, name
    assert core.execute("select count(*) from clicks where dwell_seconds is null").fetchone() != (
        0,
    )


@pytest.mark.slow
def test_the_scripts_fixed_point_is_the_projects(
    flat: Flywheel, core: duckdb.DuckDBPyConnection
) -> None:
    mine = dict(core.execute("select rank, propensity from propensities").fetchall())
    theirs = dict(
        flat.rows(
            "select rank, propensity from main_intermediate.int_propensity_replicates "
            "where estimator = 'ipf' and replicate = 0"
        )
    )
    assert sorted(mine) == sorted(theirs) == list(range(1, 11))
    assert mine == pytest.approx(theirs, rel=1e-6)


@pytest.mark.slow
def test_the_scripts_pairs_teach_what_was_clicked(core: duckdb.DuckDBPyConnection) -> None:
    (pair,) = core.execute(
        """
        select
            count(*),
            sum(n_clicks) = (
                select count(*)
                from impressions
                inner join windows
                    on searched_at >= window_start and searched_at < window_end
                where clicked
            ),
            count(*) filter (where list_contains(negative_docs, positive_doc)),
            min(len(negative_docs)) >= 9 and max(len(negative_docs)) <= 20,
            sum(weight)
        from pairs
        """
    ).fetchall()
    assert pair[0] > 100
    assert pair[1:4] == (True, 0, True)
    (expected,) = core.execute(
        """
        select sum(n_clicks * least(1 / propensity, 20))
        from cells
        inner join propensities on cells.rank = propensities.rank
        """
    ).fetchall()
    assert pair[4] == pytest.approx(expected[0], rel=1e-9)


def measured(seconds: float, script: float, **nodes: float) -> dict[str, Any]:
    """What a cell finds, in round numbers."""
    numbers = dict.fromkeys(ruler.MEASURED, 100.0)
    return {**numbers, "seconds": seconds, "script_seconds": script, "nodes": nodes}


def test_the_table_takes_medians_and_ratios_within_a_run() -> None:
    found = {
        "1e6/flat/1": measured(40, 1, slow=9.0, quick=1.0),
        # A busy machine: both slower; of the medians of each it would be 15 x.
        "1e6/flat/2": measured(80, 4, slow=11.0, quick=1.0),
        "1e6/flat/3": measured(60, 4, slow=10.0, quick=1.0),
        "1e6/ubi_parquet/1": measured(90, 1, slow=12.0, quick=14.0),
    }
    lines = ruler.markdown(found).splitlines()
    (flat,) = (line for line in lines if line.startswith("| 1e6 | flat Parquet"))
    assert [cell.strip() for cell in flat.split("|")][4:7] == ["4.0", "60.0", "**20.0 x**"]
    assert flat.endswith("| 3 |")
    assert [line for line in lines if line.startswith("| `")] == [
        "| `quick` | 1.0 | 14.0 |",
        "| `slow` | 10.0 | 12.0 |",
    ]


def test_a_change_of_sql_measures_anew_a_comment_does_not(tmp_path: Path) -> None:
    for name in ("dbt_project.yml", "profiles.yml", "models", "macros", "seeds"):
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name)
        else:
            shutil.copy(source, tmp_path / name)
    before = ruler.fingerprint(tmp_path)
    assert before == ruler.fingerprint(PROJECT)
    model = tmp_path / "models" / "marts" / "behavior" / "fct_impressions.sql"
    text = model.read_text()
    model.write_text("-- a word\n" + text.replace("\n\n", "\n\n\n") + "{# another #}\n")
    assert ruler.fingerprint(tmp_path) == before
    model.write_text(text.replace("is_sat_click", "is_sat"))
    assert ruler.fingerprint(tmp_path) != before


def test_what_was_chosen_is_measured_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def measure(_: ruler.Bench, size: str, form: str) -> dict[str, Any]:
        asked.append((size, form))
        return measured(30, 2, node=1.0)

    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "bench.md"
    shutil.copy(PROJECT / "docs" / "bench.md", page)
    settings = Settings(tmp_path, tmp_path, tmp_path / "warehouse.duckdb")
    monkeypatch.setattr(ruler, "load_settings", lambda: settings)
    monkeypatch.setattr(ruler, "fingerprint", lambda project: "one")
    monkeypatch.setattr(ruler.Bench, "measure", measure)

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(main, ["ruler", *arguments])
        assert done.exit_code == 0, done.output
        return done.output

    assert "Not measured yet: 1e6/flat/1, 1e6/flat/2, 1e6/flat/3" in run("--minutes", "0")
    assert asked == []
    run("--impressions", "1e7", "--form", "flat")
    # What is known is not measured again, and stays when something else is asked for.
    run("--impressions", "1e6", "--impressions", "1e7", "--form", "flat", "--runs", "2", "--write")
    assert asked == [("1e7", "flat"), ("1e6", "flat"), ("1e6", "flat"), ("1e7", "flat")]
    assert page.read_text().count("**15.0 x**") == 2
    run("--impressions", "1e6", "--form", "ubi_ndjson", "--runs", "1")
    assert len(asked) == 5
    monkeypatch.setattr(ruler, "fingerprint", lambda project: "two")
    run("--impressions", "1e6", "--form", "flat", "--runs", "1")
    assert len(asked) == 6


@pytest.mark.slow
def test_a_cell_measures_script_and_project(tmp_path: Path) -> None:
    found = ruler.Bench(tmp_path, PROJECT).measure("1e5", "ubi_ndjson")
    assert set(found) == set(ruler.MEASURED)
    assert 0 < found["script_seconds"] < found["seconds"]
    assert 0 < found["script_file_mb"] < found["file_mb"]
    assert found["log_mb"] > 5
    assert 0 < found["nodes"]["fct_impressions"] < found["seconds"]
    # Nothing of it stays but the logs.
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]
