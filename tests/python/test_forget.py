"""Forgetting a person: gone from every table and file, as if they had never been in the log."""

import gzip
import json
import os
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import PROJECT, Flywheel
from flywheel import forget as forgetting
from flywheel.dbt import run_dbt
from flywheel.errors import FlywheelError
from flywheel.forget import logs, proof, rows
from flywheel.forget.ids import Forgotten, salted_hash
from flywheel.settings import Settings
from flywheel.terminal import Terminal

ANNA, BERT, CARL = "anna-1980", "u2", "carl-1970"
SELECT = ["+path:models/marts/behavior"]
EQUAL = ("fct_searches", "fct_sessions", "fct_impressions", "fct_quarantined_rows")
INNER = ("int_activities__sessionized", "int_user_agents__classified")


def event(action: str, search: str, at: str, client: str | None, doc: str) -> dict[str, Any]:
    """A UBI event of ordinal 1."""
    return {
        "action_name": action,
        "query_id": search,
        "timestamp": f"2026-03-01T{at}Z",
        **({"client_id": client} if client else {}),
        "event_attributes": {"object": {"object_id": doc}, "position": {"ordinal": 1}},
    }


def query(search: str, at: str, client: str) -> dict[str, Any]:
    """A UBI query with two hits, by an agent of the client's own."""
    return {
        "query_id": search,
        "client_id": client,
        "user_query": "red shoes",
        "timestamp": f"2026-03-01T{at}Z",
        "query_response_hit_ids": ["a", "b"],
        "query_attributes": {"user_agent": f"Mozilla/5.0 of {client[::-1]}"},
    }


HERS = [
    json.dumps(row)
    for row in (
        query("s-anna", "10:00:00", ANNA),
        event("impression", "s-anna", "10:00:01", None, "a"),  # hers by its search alone
        event("click", "s-anna", "10:00:05", ANNA, "a"),
        event("click", "s-bert", "10:06:00", ANNA, "b"),  # inside a search of Bert's
        event("click", "nowhere", "10:07:00", ANNA, "b"),  # an orphan
        {"action_name": "login", "timestamp": "2026-03-01T09:00:00Z", "client_id": ANNA},
    )
] + [f'{{"client_id": "{ANNA}", "query_id": "s-cut']
OTHERS = [
    json.dumps(row)
    for row in (
        query("s-bert", "10:05:00", BERT),
        event("impression", "s-bert", "10:05:01", BERT, "a"),
        event("click", "s-bert", "10:05:09", BERT, "a"),
        query("s-carl", "11:00:00", CARL),
        event("impression", "s-carl", "11:00:01", CARL, "b"),
        event("click", "lost", "11:00:02", CARL, "b"),
    )
]


def write(path: Path, lines: list[str], arrived: str = "2026-03-02 00:00:00") -> Path:
    """Write lines to a file that arrived at the given time (UTC); `.gz` is compressed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    moment = datetime.fromisoformat(arrived).replace(tzinfo=UTC).timestamp()
    os.utime(path, (moment, moment))
    return path


def given(log: Path) -> dict[str, Any]:
    """The vars that name a log."""
    return {
        "log_format": "ubi",
        "raw_queries": str(log),
        "raw_events": str(log),
        "ranking_features": "",
    }


def settings_of(flywheel: Flywheel) -> Settings:
    """Its paths."""
    return Settings(PROJECT, flywheel.home, flywheel.database)


def run(flywheel: Flywheel, log: Path, **options: Any) -> None:
    """One `dbt run` of the behaviour tables."""
    settings = settings_of(flywheel)
    run_dbt(settings, "run", variables=given(log), select=SELECT, **options)


@pytest.fixture(scope="module")
def seeded(make_flywheel: Any) -> Path:
    """A warehouse that holds the seeds alone."""
    empty = make_flywheel("seeded")
    run_dbt(settings_of(empty), "seed")
    return empty.database


@pytest.fixture(scope="module")
def make_seeded(seeded: Path, make_flywheel: Any) -> Callable[[str], Flywheel]:
    """Makes flywheels with a warehouse to build in."""

    def make(name: str) -> Flywheel:
        made: Flywheel = make_flywheel(name)
        shutil.copy(seeded, made.database)
        return made

    return make


@pytest.fixture(scope="module")
def template(make_seeded: Callable[[str], Flywheel]) -> tuple[Flywheel, Path]:
    """A warehouse built once, from a log outside its home folder."""
    built = make_seeded("template")
    write(built.home.parent / "template-log" / "1.ndjson", [*OTHERS, *HERS])
    run(built, built.home.parent / "template-log")
    return built, built.home.parent / "template-log"


@pytest.fixture
def built(template: tuple[Flywheel, Path], flywheel: Flywheel) -> tuple[Flywheel, Path]:
    """A copy of that warehouse, and the log, which nobody writes to."""
    original, log = template
    flywheel.home.mkdir(parents=True)
    shutil.copy(original.database, flywheel.database)
    return flywheel, log


def forget(flywheel: Flywheel, log: Path, *ids: str, **options: Any) -> forgetting.Outcome:
    """`flywheel forget`, building only the behaviour tables."""
    options.setdefault("rebuild", lambda: run(flywheel, log))
    terminal = Terminal(quiet=True)
    return forgetting.forget(settings_of(flywheel), given(log), ids, terminal, **options)


def contents(flywheel: Flywheel) -> dict[str, list[Any]]:
    """The tables that must agree, without where in which file a row stood."""
    left_out = {"quarantine_id", "source_file", "row_number", "decided_in_build"}
    found: dict[str, list[Any]] = {}
    with flywheel.connection() as connection:
        for name in (*EQUAL, *INNER):
            schema = "main" if name in EQUAL else "main_intermediate"
            table = connection.sql(f"select * from {schema}.{name}")
            columns = ", ".join(c for c in table.columns if c not in left_out)
            found[name] = connection.sql(
                f"select {columns} from {schema}.{name} order by all"
            ).fetchall()
    return found


def test_a_person_leaves_as_if_never_logged(
    template: tuple[Flywheel, Path], make_seeded: Callable[[str], Flywheel], tmp_path: Path
) -> None:
    """From a file of the user's own, which stays; also from a late file, and in a rebuild."""
    flywheel = make_seeded("forgetting")
    shutil.copy(template[0].database, flywheel.database)
    log = template[1]
    own = log / "1.ndjson"
    before_bytes = own.read_bytes()
    before = contents(flywheel)
    with pytest.raises(FlywheelError, match="Nobody called nobody-77 is in the log"):
        forget(flywheel, log, ANNA, "nobody-77")
    assert contents(flywheel) == before

    outcome = forget(flywheel, log, ANNA)
    assert outcome.removed == forgetting.rows.Removed(7, 2, ())
    assert outcome.yours == {own: 7}
    assert own.read_bytes() == before_bytes

    other = make_seeded("never-logged")
    expected_log = tmp_path / "expected"
    write(expected_log / "1.ndjson", OTHERS)
    run(other, expected_log)
    expected = contents(other)
    assert contents(flywheel) == expected != before

    late = write(log / "late.ndjson", [json.dumps(query("s-late", "15:00:00", ANNA))])
    try:
        run(flywheel, log, full_refresh=True)
    finally:
        late.unlink()
    assert contents(flywheel) == expected
    assert flywheel.rows(
        "select sum(n_rows), sum(n_used + n_merged + n_quarantined) from fct_input_reconciliation"
    ) == [(len(OTHERS), len(OTHERS))]


@pytest.mark.slow
def test_files_of_the_home_folder_lose_only_their_lines(
    make_seeded: Callable[[str], Flywheel],
) -> None:
    flywheel = make_seeded('in the home\'s "folder"')
    log = flywheel.home / "raw_logs"
    file = write(log / "1.ndjson.gz", [*HERS, *OTHERS])
    untouched = write(log / "0.ndjson", [json.dumps(query("s-old", "08:00:00", BERT))])
    modified = file.stat().st_mtime_ns
    inode = untouched.stat().st_ino
    quoting = write(flywheel.home / "logs" / "dbt.log", [f"select '{ANNA}'"])
    example = write(flywheel.home / "data_docs" / "index.html", ["<td>10.0.0.1</td>"])
    run(flywheel, log)
    outcome = forget(flywheel, log, ANNA, CARL)
    assert outcome.files == {file: 10}
    assert outcome.yours == {}
    kept = [line for line in OTHERS if "carl" not in line]
    assert gzip.decompress(file.read_bytes()).decode().splitlines() == kept
    assert file.stat().st_mtime_ns == modified
    assert untouched.stat().st_ino == inode
    assert not example.exists()
    assert not quoting.exists() or ANNA not in quoting.read_text()
    for path in flywheel.home.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert ANNA.encode() not in data, path
            assert CARL.encode() not in data, path

    other = make_seeded("home-never-logged")
    same = other.home / "raw_logs"
    write(same / "1.ndjson.gz", kept)
    write(same / "0.ndjson", [json.dumps(query("s-old", "08:00:00", BERT))])
    run(other, same)
    assert contents(flywheel) == contents(other)
    numbers = "select max(row_number) from main_staging.base_ubi__documents"
    assert flywheel.rows(numbers) == other.rows(numbers)


def test_a_stopped_command_is_finished_by_the_next(built: tuple[Flywheel, Path]) -> None:
    flywheel, log = built

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        forget(flywheel, log, ANNA, rebuild=stop)
    assert flywheel.rows("select count(*) from fct_searches where user_id = ?", ANNA) == [(1,)]
    outcome = forget(flywheel, log, ANNA)
    assert outcome.removed.n_rows == 0
    assert flywheel.rows("select count(*) from fct_searches where user_id = ?", ANNA) == [(0,)]
    assert {"main.fct_searches", "flywheel_state.changed_inputs"} <= {
        trace.place for trace in outcome.tables
    }


def test_what_is_left_is_named(built: tuple[Flywheel, Path]) -> None:
    """A short id counts in columns of people, not where a document is called the same."""
    flywheel, log = built
    with duckdb.connect(str(flywheel.database)) as connection:
        connection.execute(f"create table mine as select ['x {CARL}'] as notes")
        connection.execute(f"create table shop as select '{BERT}' as doc_id")
        connection.execute(f"create table people as select '{BERT}' as visitor")
    (flywheel.home / "note.txt").write_text(f"call {CARL} back")
    with pytest.raises(FlywheelError) as raised:
        forget(flywheel, log, CARL, BERT)
    said = str(raised.value)
    for place in ("still stands in", "main.mine (1)", "main.people (1)", "note.txt (1)", "duckdb"):
        assert place in said
    assert said.count(" (") == 4  # the table shop is not among them
    with duckdb.connect(str(flywheel.database)) as connection:
        connection.execute("drop table mine; drop table people")
    (flywheel.home / "note.txt").unlink()
    outcome = forget(flywheel, log, CARL, BERT, rebuild=lambda: None)
    assert not list(proof.remaining([*outcome.tables, *outcome.searched]))
    assert flywheel.rows("select count(*) from shop") == [(1,)]


def test_another_log_is_refused(built: tuple[Flywheel, Path], tmp_path: Path) -> None:
    """The build that follows would throw out the log that the warehouse holds."""
    flywheel, _ = built
    with pytest.raises(FlywheelError, match="another log than the vars name"):
        forget(flywheel, tmp_path, CARL)
    assert flywheel.rows("select count(*) from flywheel_state.forgotten_visitors") == [(0,)]


HASHES = {
    "visitor": frozenset({salted_hash("salt", ANNA), salted_hash("salt", "42")}),
    "search": frozenset({salted_hash("salt", "s1")}),
    "session": frozenset(),
    "text": frozenset(),
}
FORGOTTEN = Forgotten((ANNA, "42"), "salt", HASHES)


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_each_kind_of_text_file_keeps_the_other_lines(tmp_path: Path, suffix: str) -> None:
    """Bulk actions go with their documents; CSV records may span lines; 42 is a rank, too."""
    action = '{"index": {"_index": "ubi_events"}}'
    lines = {
        "log.ndjson": [
            (action, True),
            ('{"query_id": "s2", "rank": 42, "client_id": "421"}', True),
            (action, False),
            ('{"query_id": "s2", "client_id": 42}', False),
            ('ubi_queries\t{"query_id": "s1"}', False),
            ('{"query_id": "s3", "event_attributes": {"user_id": " anna-1980 "}}', False),
            (f'{{"query_id": "s3", "message": "mail to {ANNA}@example.org', False),
            ('{"query_id": "s3", "message": "not anna-1980s"}', True),
            ("no json at all: \udcff 42", True),
            (action, True),
        ],
        "log.csv": [
            ("Search_ID;query;user_id", True),
            ('s2;"two\nlines; 42";43', True),
            ('s2;"two\nlines";42', False),
            ("s1;red;", False),
            ("s3;42;44", True),
        ],
    }
    for name, found in lines.items():
        path = tmp_path / (name + suffix)
        expected = "".join(f"{line}\n" for line, keep in found if keep)
        for text, n_removed in ((found, sum(not k for _, k in found)), ([], 0)):
            if text:
                data = "".join(f"{line}\n" for line, _ in text)
                with logs._write(tmp_path / ("any" + suffix), path) as output:
                    output.write(data.encode(errors="surrogateescape"))
            called: list[int] = []
            removed = logs.remove_lines(path, FORGOTTEN, before=lambda c=called: c.append(1))
            assert len(called) == (1 if n_removed else 0)
            assert removed == n_removed, name
        with logs._read(path) as stream:
            assert stream.read().decode(errors="surrogateescape") == expected


def test_parquet_keeps_its_schema_and_the_other_rows(tmp_path: Path) -> None:
    table = pa.table(
        {
            "search_id": ["s1", "s2", "s2", "s4"],
            "user_id": pa.array([7, 42, 43, None], pa.int64()),
            "rank": pa.array([1, 2, 42, 3], pa.int32()),
        }
    )
    path = tmp_path / "log.parquet"
    pq.write_table(table, path, row_group_size=3, compression="zstd")
    assert logs.remove_lines(path, FORGOTTEN, before=lambda: None) == 2
    assert pq.read_table(path).equals(table.slice(2))


def test_knows_the_vars_and_tables_that_the_build_knows() -> None:
    """The lists that SQL keeps are repeated in Python; a name added to one belongs to both."""

    def listed(macro: str) -> tuple[str, ...]:
        text = (PROJECT / "macros/builds" / f"{macro}.sql").read_text(encoding="utf-8")
        return tuple(re.findall(r"'(\w+)'", text))

    assert listed("log_vars") == forgetting.LOG_VARS
    assert listed("change_tables") == rows.CHANGE_TABLES
