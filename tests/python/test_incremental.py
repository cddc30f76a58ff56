"""Builds that cost what came: the ledger of files, changed rules, backfills, leave to rebuild."""

import json
import os
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from conftest import PROJECT, Flywheel
from flywheel.dbt import run_dbt
from flywheel.errors import FlywheelError
from flywheel.settings import Settings

ONE_RUN = {"backfill_start", "backfill_end", "allow_full_refresh", "dev_targets"}


def search(number: int, at: str, *, user: str = "u1", clicked: int = 1) -> list[dict[str, Any]]:
    """Rows of one search with two documents; the first may be clicked."""
    common = {"search_id": f"s{number}", "searched_at": at, "query": "red shoes", "user_id": user}
    return [
        {**common, "doc_id": "a", "rank": 1, "clicked": clicked},
        {**common, "doc_id": "b", "rank": 2, "clicked": 0},
    ]


def write(
    path: Path, *searches: list[dict[str, Any]], arrived: str = "2026-03-20 00:00:00"
) -> None:
    """Write rows as NDJSON, in a file that arrived at the given time (UTC)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for rows in searches for row in rows))
    moment = datetime.fromisoformat(arrived).replace(tzinfo=UTC).timestamp()
    os.utime(path, (moment, moment))


def run(
    flywheel: Flywheel,
    log: Path,
    *,
    full_refresh: bool = False,
    project: Path = PROJECT,
    **variables: Any,
) -> None:
    """One `dbt run` of the behaviour tables, in this process: most of a run is dbt's start."""
    run_dbt(
        Settings(project, flywheel.home, flywheel.database),
        "run",
        variables={
            "log_format": "flat",
            "flat_log": str(log),
            "ranking_features": "",
            **variables,
        },
        select=["+path:models/marts/behavior"],
        full_refresh=full_refresh,
    )


def write_two_days(log: Path) -> None:
    """Two days, a file each."""
    write(log / "1.ndjson", search(1, "2026-03-01 10:00:00"), search(2, "2026-03-01 12:00:00"))
    write(log / "2.ndjson", search(3, "2026-03-02 10:00:00", user="u2"))


@pytest.fixture(scope="module")
def template(make_flywheel: Callable[[str], Flywheel]) -> tuple[Flywheel, Path]:
    """The two days, built at once, and their log: a warehouse knows the place it was built from."""
    built = make_flywheel("two-days")
    log = built.home.parent / "two-days-log"
    write_two_days(log)
    run_dbt(Settings(PROJECT, built.home, built.database), "seed")
    run(built, log)
    return built, log


@pytest.fixture
def built(template: tuple[Flywheel, Path], flywheel: Flywheel) -> tuple[Flywheel, Path]:
    """A copy of that warehouse, and its log as it was, for one test to change."""
    original, log = template
    flywheel.home.mkdir(parents=True)
    shutil.copy(original.database, flywheel.database)
    shutil.rmtree(log)
    write_two_days(log)
    return flywheel, log


def written(flywheel: Flywheel) -> dict[str, int]:
    """Rows that the last build wrote, by model."""
    return dict(
        flywheel.rows(
            """
            select model_name, n_rows_written from flywheel_state.model_builds
            where build_number = (select max(build_number) from flywheel_state.builds)
            """
        )
    )


def searches(flywheel: Flywheel) -> list[str]:
    """Ids of the searches there are."""
    return [row[0] for row in flywheel.rows("select search_id from fct_searches order by 1")]


def test_a_build_writes_what_came_and_nothing_else(built: tuple[Flywheel, Path]) -> None:
    flywheel, log = built
    assert written(flywheel)["fct_impressions"] == 6
    run(flywheel, log)
    assert set(written(flywheel).values()) <= {0, 1}, written(flywheel)  # 1: the convention
    write(log / "3.ndjson", search(4, "2026-03-03 10:00:00", user="u3"))
    run(flywheel, log)
    rows = written(flywheel)
    assert (rows["base_flat__rows"], rows["fct_searches"], rows["fct_impressions"]) == (2, 1, 2)
    assert searches(flywheel) == ["s1", "s2", "s3", "s4"]


def test_a_late_search_moves_only_its_own_session(built: tuple[Flywheel, Path]) -> None:
    """It stands half an hour from both searches of its visitor, and makes one session of two."""
    flywheel, log = built
    write(
        log / "1.ndjson",
        search(1, "2026-03-01 10:00:00"),
        search(2, "2026-03-01 11:00:00"),
        arrived="2026-03-21 00:00:00",
    )
    run(flywheel, log)
    sessions = "select n_searches, n_clicks from fct_sessions where user_id = 'u1'"
    assert flywheel.rows(sessions) == [(1, 1), (1, 1)]
    write(log / "late.ndjson", search(9, "2026-03-01 10:30:00", clicked=0))
    run(flywheel, log)
    assert flywheel.rows(sessions) == [(3, 2)]
    assert written(flywheel)["fct_searches"] == 3
    assert flywheel.rows("select user_id from fct_sessions where user_id = 'u2'") == [("u2",)]


def test_a_file_that_changed_says_what_it_says_now(built: tuple[Flywheel, Path]) -> None:
    flywheel, log = built
    write(log / "2.ndjson", search(5, "2026-03-02 10:00:00"), search(6, "2026-03-02 15:00:00"))
    run(flywheel, log)
    assert searches(flywheel) == ["s1", "s2", "s5", "s6"]
    assert flywheel.rows("select distinct user_id from fct_sessions") == [("u1",)]


@pytest.mark.slow
def test_a_file_that_is_gone_has_been_loaded(built: tuple[Flywheel, Path]) -> None:
    flywheel, log = built
    (log / "1.ndjson").unlink()
    run(flywheel, log)
    assert searches(flywheel) == ["s1", "s2", "s3"]
    run(flywheel, log, full_refresh=True)
    assert searches(flywheel) == ["s3"]


@pytest.mark.slow
def test_another_log_takes_the_place_of_the_first(
    built: tuple[Flywheel, Path], tmp_path: Path
) -> None:
    flywheel, _ = built
    other = tmp_path / "other"
    write(other / "x.ndjson", search(7, "2026-03-05 10:00:00", user="u9"))
    run(flywheel, other)
    assert searches(flywheel) == ["s7"]
    for table in ("fct_sessions", "fct_input_reconciliation"):
        assert flywheel.rows(f"select count(*) from {table}") == [(1,)], table
    run(flywheel, other)
    assert searches(flywheel) == ["s7"]


@pytest.mark.slow
def test_a_changed_rule_is_applied_to_all_of_history(built: tuple[Flywheel, Path]) -> None:
    flywheel, log = built
    count = "select count(*) from fct_sessions"
    assert flywheel.rows(count) == [(3,)]
    run(flywheel, log, session_timeout_minutes=180)
    assert flywheel.rows(count) == [(2,)]
    run(flywheel, log)
    assert flywheel.rows(count) == [(3,)]


@pytest.mark.slow
def test_a_changed_model_is_built_anew_with_what_reads_it(
    built: tuple[Flywheel, Path], tmp_path: Path
) -> None:
    """Another text of a view: what reads it comes from nothing, what it reads stays."""
    flywheel, log = built
    project = tmp_path / "project"
    for name in ("models", "macros", "seeds", "analyses", "tests/generic"):
        shutil.copytree(PROJECT / name, project / name)
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(PROJECT / name, project / name)
    run(flywheel, log, project=project)
    assert written(flywheel)["fct_searches"] == 0  # the same text in another place
    model = project / "models" / "intermediate" / "log" / "int_log_impressions.sql"
    text = model.read_text()
    model.write_text(text.replace("select * from final", "select * from final where rank = 1"))
    with pytest.raises(FlywheelError, match=r"SQL of these models.*\bfct_impressions\b"):
        run(flywheel, log, project=project, dev_targets=["elsewhere"])
    run(flywheel, log, project=project)
    rows = written(flywheel)
    assert (rows["base_flat__rows"], rows["int_log_searches"]) == (0, 0)
    assert (rows["fct_impressions"], rows["fct_searches"], rows["fct_sessions"]) == (3, 3, 3)
    stands = {
        table: flywheel.rows(f"from {table} select * order by all")
        for table in ("fct_searches", "fct_sessions", "fct_impressions")
    }
    assert len(stands["fct_impressions"]) == 3
    run(flywheel, log, project=project)
    assert written(flywheel)["fct_searches"] == 0
    run(flywheel, log, project=project, full_refresh=True)
    for table, kept in stands.items():
        assert flywheel.rows(f"from {table} select * order by all") == kept, table


@pytest.mark.slow
def test_people_who_click_less_clear_a_visitor_of_long_ago(
    flywheel: Flywheel, tmp_path: Path
) -> None:
    """Four who click make a bot of one who does not; ten who do not clear him, without his rows.

    His session goes on over midnight, so that a day judged anew is not all there is of it.
    """
    log = tmp_path / "log"
    rules = {
        "bot_min_click_rate_days": 4,
        "bot_min_clickless_searches": 6,
        "bot_max_few_clicks_chance": 0.01,  # 0.35^6 is less, 0.7^6 more
    }
    quiet = [
        search(number, f"2026-03-01 23:{30 + 5 * number}:00", user="quiet", clicked=0)
        for number in range(6)
    ]
    late = search(6, "2026-03-02 00:10:00", user="quiet")
    people = [search(10 + n, "2026-03-01 12:00:00", user=f"p{n}") for n in range(4)]
    write(log / "1.ndjson", *quiet, late, *people)
    run_dbt(Settings(PROJECT, flywheel.home, flywheel.database), "seed")
    run(flywheel, log, **rules)
    reasons = "select bot_reasons from fct_searches where user_id = 'quiet'"
    assert flywheel.rows(reasons) == [(["searches_without_click"],)] * 7
    others = [search(20 + n, "2026-03-09 12:00:00", user=f"q{n}", clicked=0) for n in range(10)]
    write(log / "2.ndjson", *others)
    run(flywheel, log, **rules)
    assert written(flywheel)["fct_searches"] == 10 + 7
    everything = "from fct_searches select * order by search_id"
    sessions = "from fct_sessions select * order by session_id"
    stands = [flywheel.rows(everything), flywheel.rows(sessions)]
    assert flywheel.rows(reasons) == [([],)] * 7
    run(flywheel, log, **rules)
    assert written(flywheel)["fct_searches"] == 0
    run(flywheel, log, full_refresh=True, **rules)
    assert [flywheel.rows(everything), flywheel.rows(sessions)] == stands


def test_a_backfill_derives_its_range_anew(built: tuple[Flywheel, Path]) -> None:
    flywheel, log = built
    run(flywheel, log, backfill_start="2026-03-02", backfill_end="2026-03-03")
    assert written(flywheel)["fct_searches"] == 1
    assert written(flywheel)["base_flat__rows"] == 0


def test_rows_from_the_future_are_fenced_by_their_arrival(
    flywheel: Flywheel, tmp_path: Path
) -> None:
    """A day ahead of its file is a wrong clock within reason; a second more is not."""
    log = tmp_path / "log"
    write(
        log / "1.ndjson",
        search(1, "2026-03-21 00:00:00"),
        search(2, "2026-03-21 00:00:01"),
    )
    run_dbt(Settings(PROJECT, flywheel.home, flywheel.database), "seed")
    run(flywheel, log)
    assert searches(flywheel) == ["s1"]
    reasons = flywheel.rows("select distinct reason, search_id from fct_quarantined_rows")
    assert reasons == [("impossible_time", "s2")]


def test_late_rows_are_counted_from_how_far_the_log_had_come(
    flywheel: Flywheel, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    write(log / "1.ndjson", search(1, "2026-03-01 10:00:00"), arrived="2026-03-02 00:00:00")
    write(
        log / "2.ndjson",
        search(2, "2026-03-01 09:30:00", user="u2"),  # half an hour behind s1
        search(3, "2026-02-27 10:00:00", user="u3"),  # two days behind
        search(4, "2026-03-01 10:10:00"),  # ahead, and in the session of s1
        arrived="2026-03-03 00:00:00",
    )
    run_dbt(Settings(PROJECT, flywheel.home, flywheel.database), "seed")
    run(flywheel, log)
    rows = flywheel.rows(
        "select cast(event_date as varchar), lag_bucket, n_rows, max_lag_seconds "
        "from fct_late_arrivals order by 1, 2"
    )
    assert rows == [
        ("2026-02-27", "within_a_week", 2, 172800.0),
        ("2026-03-01", "on_time", 4, 0.0),
        ("2026-03-01", "within_an_hour", 2, 1800.0),
    ]
    revised = flywheel.rows(
        "select cast(session_date as varchar), n_sessions, n_revised_sessions, "
        "max_revised_after_seconds from fct_session_revisions order by 1"
    )
    assert revised == [("2026-02-27", 1, 0, 0.0), ("2026-03-01", 2, 1, 86400.0)]


@pytest.mark.slow
def test_published_tables_are_rebuilt_only_with_leave(built: tuple[Flywheel, Path]) -> None:
    flywheel, log = built
    published: dict[str, Any] = {"dev_targets": ["elsewhere"]}
    with pytest.raises(FlywheelError, match=r"would rebuild published tables.*allow_full_refresh"):
        run(flywheel, log, full_refresh=True, **published)
    with pytest.raises(FlywheelError, match="another log than the one that was loaded"):
        run(flywheel, PROJECT / "tests", **published)
    with pytest.raises(FlywheelError, match="session_timeout_minutes from 30 to 180"):
        run(flywheel, log, session_timeout_minutes=180, **published)
    run(flywheel, log, **published)
    assert flywheel.rows("select count(*) from fct_sessions") == [(3,)]
    run(flywheel, log, session_timeout_minutes=180, allow_full_refresh=True, **published)
    assert flywheel.rows("select count(*) from fct_sessions") == [(2,)]


def test_every_var_of_an_incremental_model_is_a_rule(sample: Flywheel) -> None:
    """A var that shapes a table without being watched would leave it half old and half new."""
    manifest = json.loads((sample.home / "target" / "manifest.json").read_text())
    macros = manifest["macros"]

    def code(node: dict[str, Any], seen: set[str]) -> str:
        text = node.get("raw_code") or node["macro_sql"]
        for name in node["depends_on"]["macros"]:
            if name in macros and name not in seen and name.startswith("macro.eval_flywheel."):
                seen.add(name)
                text += code(macros[name], seen)
        return text

    used: set[str] = set()
    for node in manifest["nodes"].values():
        if node["resource_type"] == "model" and (
            node["config"].get("incremental_strategy") == "replace_scope"
            and node["config"]["materialized"] == "incremental"
        ):
            used |= set(re.findall(r"var\(\s*['\"]([a-z_]+)['\"]", code(node, set())))
    watched = set()
    for name in ("rule_vars", "log_vars"):
        text = (PROJECT / "macros" / "builds" / f"{name}.sql").read_text()
        watched |= set(re.findall(r"'([a-z_]+)'", text))
    assert used - ONE_RUN <= watched
