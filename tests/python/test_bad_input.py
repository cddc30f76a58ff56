"""Bad input: a sentence where nothing can be built, a quarantined row where one row is bad."""

import json
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

import ubi_fixtures as ubi
from conftest import BEHAVIOR, Flywheel
from sql_project import SqlProject

AT = "2026-03-02T10:00:00Z"
LATER = "2026-03-02T10:01:00Z"
MEGABYTE = "x" * 2**20


def a_query(name: str, **fields: Any) -> ubi.Document:
    """A sound query document of its own visitor, but for the fields given."""
    document = ubi.query(name, "lamp", AT, hits=["a", "b"], client_id=f"c-{name}")
    return {k: v for k, v in (document | fields).items() if v is not ubi.OMIT}


def a_click(name: str, ordinal: Any = 1, **fields: Any) -> ubi.Document:
    """A sound click on document a, but for the fields given."""
    document = ubi.event("click", name, LATER, doc="a", ordinal=ordinal, client_id=f"c-{name}")
    return {k: v for k, v in (document | fields).items() if v is not ubi.OMIT}


TOMORROW = (datetime.now() + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")

# Every bad row, under the reason it must be kept out for. The sound search `good` is among them.
BAD_ROWS: dict[str, list[bytes | ubi.Document]] = {
    "malformed_json": [
        b'{"query_id": "cut-1", "user_query": "la',
        b"not json at all",
        b'{"query_id": "cut-2"} trailing',
        b'{"query_id": "control", "user_query": "a\x1fb"}',
        b"}{",
    ],
    "not_utf8": [
        b'{"query_id": "latin", "user_query": "caf\xe9", "timestamp": "' + AT.encode() + b'"}',
        b"\xff\xfe\xfa",
        b"\xff\xfe\xfa",
        b'{"query_id": "overlong", "user_query": "\xc0\x80"}',
        b'{"query_id": "surrogate", "user_query": "\xed\xa0\x80"}',
    ],
    "line_too_long": [b'{"query_id": "vast", "user_query": "' + b"x" * (9 * 2**20) + b'"}'],
    "not_a_ubi_document": [
        {"event": "pageview"},
        {},
        b"[1, 2]",
        b"null",
        b"42",
        b'"text"',
        {"user_id": "somebody", "timestamp": AT},
    ],
    "missing_time": [
        a_query("no-time", timestamp=ubi.OMIT),
        a_query("null-time", timestamp=None),
        a_query("empty-time", timestamp=" "),
        a_query("word-time", timestamp="yesterday"),
        a_query("odd-time", timestamp="2026-13-45T99:00:00Z"),
        a_query("object-time", timestamp={"$date": AT}),
        a_click("good", timestamp=None),
    ],
    "impossible_time": [
        a_query("y1970", timestamp="1970-01-01T00:00:00Z"),
        a_query("y2100", timestamp="2100-01-01T00:00:00Z"),
        a_query("zero-ms", timestamp=946684799999),
        a_query("future", timestamp=TOMORROW),
        a_click("good", timestamp="1970-01-01T00:00:00Z"),
        a_click("good", timestamp=4102444800000),
    ],
    "missing_search_id": [
        a_query("", user_query="nameless"),
        a_query("x", query_id=None),
        a_click("x", query_id=ubi.OMIT),
    ],
    "missing_query": [
        a_query("no-text", user_query=ubi.OMIT),
        a_query("null-text", user_query=None),
        a_query("blank-text", user_query=" \t"),
    ],
    "query_too_long": [
        a_query("long", user_query=MEGABYTE),
        a_query("just", user_query="x" * 10_001),
        a_click("good", user_query=MEGABYTE),
    ],
    "missing_document": [
        a_click("good", event_attributes=None),
        a_click("good", event_attributes={"object": {"object_id": " "}}),
        a_click("good", event_attributes=[]),
    ],
    "missing_rank": [
        a_click("good", None, event_attributes={"object": {"object_id": "unlisted"}}),
        a_click(
            "good",
            event_attributes={"object": {"object_id": "u"}, "position": {"ordinal": "top"}},
        ),
        a_click(
            "good",
            event_attributes={"object": {"object_id": "u"}, "position": {"ordinal": 1.5}},
        ),
    ],
    "impossible_rank": [
        a_click("good", ordinal=0),
        a_click("good", ordinal=-2),
        a_click("good", ordinal=1001),
        a_click("good", ordinal=10**9),
        a_click("good", ordinal=10**17),
    ],
    "orphan_event": [a_click("nobody-asked")],
    "click_outside_attribution": [
        a_click("good", timestamp="2026-03-02T12:00:01Z"),
        a_click("good", timestamp="2026-03-02T09:00:00Z"),
    ],
}

SOUND = [
    *(a_query(f"sound-{n}") for n in range(20)),
    *(a_click(f"sound-{n}") for n in range(20)),
    a_query("good"),
    a_click("good"),
    a_query("exactly", user_query="x" * 10_000),
    a_query("early", timestamp="2000-01-01T00:00:00Z"),
]


def as_line(row: bytes | ubi.Document) -> bytes:
    return row if isinstance(row, bytes) else json.dumps(row).encode()


def interleaved() -> list[tuple[str | None, bytes]]:
    """All rows as (reason or None, line), the bad ones spread among the sound ones."""
    bad = [(reason, as_line(row)) for reason, rows in BAD_ROWS.items() for row in rows]
    good: list[tuple[str | None, bytes]] = [(None, as_line(row)) for row in SOUND]
    rows: list[tuple[str | None, bytes]] = []
    for n in range(max(len(bad), len(good))):
        rows += [*bad[n : n + 1], *good[n : n + 1]]
    return rows


@pytest.fixture(scope="module")
def log(make_flywheel: Callable[[str], Flywheel]) -> Flywheel:
    flywheel = make_flywheel("bad-rows")
    text = b"\n".join(line for _, line in interleaved())  # the last line has no end either
    path = ubi.write_bytes(flywheel.home / "log" / "bad.ndjson", text)
    ubi.write_ndjson(flywheel.home / "log" / "again.ndjson", [a_query("good"), a_click("good")])
    flywheel.build(raw_queries=path.parent, raw_events=path.parent)
    return flywheel


@pytest.mark.parametrize("reason", BAD_ROWS)
def test_every_bad_row_is_kept_out_with_its_reason(log: Flywheel, reason: str) -> None:
    found = log.rows(
        "select row_number from fct_quarantined_rows where reason = ? order by row_number", reason
    )
    rows = enumerate(interleaved(), start=1)
    assert [number for (number,) in found] == [number for number, (r, _) in rows if r == reason]


def test_no_other_row_is_kept_out(log: Flywheel) -> None:
    reasons = Counter(reason for (reason,) in log.rows("select reason from fct_quarantined_rows"))
    assert reasons == {reason: len(rows) for reason, rows in BAD_ROWS.items()}
    names = {name for (name,) in log.rows("select search_id from fct_searches")}
    assert names == {document["query_id"] for document in SOUND}


def test_bad_neighbours_change_nothing_for_a_sound_search(log: Flywheel) -> None:
    rows = log.rows(
        "select doc_id, rank, clicked, n_click_events from fct_impressions "
        "where search_id = 'good' order by rank"
    )
    assert rows == [("a", 1, 1, 1), ("b", 2, 0, 0)]
    (decision,) = log.records("select * from dim_applications")
    assert decision["rank_base"] == 1


def test_a_row_delivered_twice_is_merged(log: Flywheel) -> None:
    rows = log.rows(
        "select sum(n_rows)::int, sum(n_merged)::int from fct_input_reconciliation "
        "where source_file like '%/again.ndjson' or source_file like '%/bad.ndjson'"
    )
    assert rows == [(len(interleaved()) + 2, 2)]


def test_the_payload_says_what_was_there_but_not_a_megabyte_of_it(log: Flywheel) -> None:
    rows = log.records("select * from fct_quarantined_rows where reason = 'query_too_long'")
    assert all(len(row["payload"]) <= 4000 for row in rows)
    assert max(row["payload_length"] for row in rows) > 2**20
    rows = log.records("select * from fct_quarantined_rows where reason = 'malformed_json'")
    assert '{"query_id": "cut-1", "user_query": "la' in {row["payload"] for row in rows}
    rows = log.records("select * from fct_quarantined_rows where reason = 'not_utf8'")
    assert any("latin" in row["payload"] for row in rows)


# --- the command line ---------------------------------------------------------------------------


def refused(flywheel: Flywheel, *arguments: str) -> str:
    """Run a command that must fail with one sentence, and leave no warehouse behind."""
    run = flywheel.command(*arguments)
    assert run.status == 1, run.output
    assert "Traceback" not in run.output
    (line,) = (line for line in run.output.splitlines() if line.startswith("flywheel: "))
    assert not flywheel.database.exists()
    return line


def ubi_vars(path: Path) -> list[str]:
    return [f"--var=raw_queries={path}", f"--var=raw_events={path}", "--var=ranking_features="]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("log.parquet", b"query_id,user_query\nq,x\n", "is not a Parquet file although"),
        ("log.ndjson.gz", ubi.lines([a_query("q")]).encode(), "is not gzip data although"),
        ("log.ndjson", b"\x00\x01\x02\x03" * 99, "holds binary content"),
        ("log.ndjson", b'{"event": "pageview"}\n', "holds no UBI queries or events"),
        ("log.ndjson", b"", "holds no rows"),
    ],
)
def test_build_refuses_a_file_in_one_sentence(
    flywheel: Flywheel, tmp_path: Path, name: str, data: bytes, says: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    line = refused(flywheel, "build", *ubi_vars(path))
    assert says in line
    assert str(path) in line


def test_build_refuses_an_empty_directory_and_a_wrong_path(
    flywheel: Flywheel, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert f"The directory {empty} holds no file" in refused(flywheel, "build", *ubi_vars(empty))
    gone = tmp_path / "gone.ndjson"
    assert f"no file or directory {gone}" in refused(flywheel, "build", *ubi_vars(gone))


def test_run_refuses_a_log_it_cannot_place(flywheel: Flywheel, tmp_path: Path) -> None:
    path = ubi.write_csv(tmp_path / "log.csv", [{"search_id": 1, "doc_id": 2, "rank": 1}])
    line = refused(flywheel, "run", "--log", str(path))
    assert "lacks the required columns searched_at, query and clicked" in line
    other = ubi.write_csv(tmp_path / "other.csv", [{"a": 1, "b": 2}])
    assert "is neither a UBI log" in refused(flywheel, "run", "--log", str(other))
    gone = str(tmp_path / "gone")
    assert "gone" in refused(flywheel, "run", "--log", gone)
    log = ubi.write_ndjson(tmp_path / "log.ndjson", SOUND)
    line = refused(flywheel, "run", "--log", str(log), "--features", gone)
    assert gone in line


def test_a_refused_build_leaves_the_warehouse_as_it_was(flywheel: Flywheel, tmp_path: Path) -> None:
    flywheel.home.mkdir(parents=True)
    flywheel.database.write_bytes(b"what was there")
    run = flywheel.command("build", *ubi_vars(tmp_path / "gone"))
    assert run.status == 1
    assert flywheel.database.read_bytes() == b"what was there"


def test_dbt_alone_names_the_var_whose_path_is_wrong(flywheel: Flywheel, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    run = flywheel.dbt("build", "--quiet", raw_queries=gone, raw_events=gone)
    assert run.status != 0
    assert f"raw_queries names no file: '{gone}'" in " ".join(run.output.split())


# --- logs of which nothing is usable ------------------------------------------------------------


def flat_rows(at: str = AT, rank: Any = "{rank}") -> list[ubi.Document]:
    """Four searches of two documents; `{rank}` stands for 1 and 2."""
    return [
        ubi.flat_row(f"s{n}-{at}", f"d{k}", str(rank).format(rank=k), k % 2, at=at, query="lamp")
        for n in range(4)
        for k in (1, 2)
    ]


def flat_vars(path: Path) -> list[str]:
    return ["--var=log_format=flat", f"--var=flat_log={path}", "--var=ranking_features="]


US_DATES = flat_rows("01/31/2026 10:00")
ACTIONLESS = [a_click(f"q{n}", action_name=ubi.OMIT) for n in range(5)]
CLICKS_ALONE = [*(a_click(f"q{n}") for n in range(5)), ubi.event("page_exit", "q1", LATER)]


@pytest.fixture(scope="module")
def refusing(make_flywheel: Callable[[str], Flywheel]) -> Flywheel:
    return make_flywheel("unusable")


@pytest.mark.parametrize(
    ("rows", "says", "sample"),
    [
        (US_DATES, "8 of 8 rows are missing_time; searched_at holds no time", "01/31/2026 10:00"),
        pytest.param(
            flat_rows(rank="top"),
            "8 of 8 rows are impossible_rank; rank must be",
            '"rank":"top"',
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ACTIONLESS,
            "5 of 5 rows are missing_query; user_query must hold",
            '"query_id": "q',
            marks=pytest.mark.slow,
        ),
        (CLICKS_ALONE, "6 of 6 rows are event_without_search", "click"),
    ],
    ids=["US dates", "ranks in words", "no action", "no query"],
)
def test_a_log_of_which_nothing_is_usable_stops_with_reason_and_sample(
    refusing: Flywheel, tmp_path: Path, rows: list[ubi.Document], says: str, sample: str
) -> None:
    is_flat = "search_id" in rows[0]
    write = ubi.write_csv if is_flat else ubi.write_ndjson
    path = write(tmp_path / ("log.csv" if is_flat else "log.ndjson"), rows)
    run = refusing.command("build", *(flat_vars if is_flat else ubi_vars)(path))
    assert run.status == 1, run.output
    assert "Traceback" not in run.output
    first, *samples = run.output[run.output.index("flywheel: ") :].splitlines()
    assert "Nothing in the log can be used" in first
    assert says in first
    assert [line.split(": ")[0] for line in samples] == [
        f"  row {n} of {path.name}" for n in (1, 2, 3)
    ]
    assert all(sample in line and len(line) < 200 for line in samples)
    assert refusing.rows("from duckdb_tables() where table_name = 'fct_searches'") == []


def rejected(*rows: str) -> str:
    """Rows of int_rows__united: file, number, reason and text, all of one kind of file."""
    values = ", ".join(f"('flat', {row})" for row in rows)
    names = "source, source_file, row_number, rejection_reason, payload"
    of_no_text = ", ".join(f"'{name}' as {name}" for name in ("search_id", "action", "logged_at"))
    return (
        f"(select *, {of_no_text}, 'q' as query, 'd' as doc_id, 7 as ordinal "
        f"from (values {values}) as given ({names}))"
    )


def test_the_commonest_reason_is_named_with_rows_of_it() -> None:
    """Four of ten rows lack a rank: three of them are shown, in order of file and row, each short
    and without what a terminal would obey. Of the other reasons the three commonest are named."""
    long = "repeat('x', 200)"
    said = SqlProject().macro(
        "unusable_log_sentence",
        rejected(
            "'/logs/b.csv', 1, 'missing_rank', 'of b'",
            "'/logs/a.csv', 20, 'missing_rank', 'a' || chr(27) || chr(7) || ' ' || " + long,
            "'/logs/a.csv', 3, 'missing_rank', null",
            "'/logs/a.csv', 21, 'missing_rank', 'a21'",
            "'/logs/a.csv', 1, 'missing_time', 'a1'",
            "'/logs/a.csv', 2, 'missing_time', 'a2'",
            "'/logs/a.csv', 4, 'missing_document', 'a4'",
            "'/logs/a.csv', 5, 'missing_document', 'a5'",
            "'/logs/a.csv', 6, null, 'a6'",
            "'/logs/a.csv', 7, 'missing_query', 'a7'",
        ),
    )
    assert said.splitlines() == [
        "Nothing in the log can be used, so nothing was built from it: 4 of 10 rows are "
        "missing_rank (also 2 missing_document, 2 missing_time, 1 event_without_search); rank must "
        "hold the place at which the document was shown. For example:",
        'row 3 of a.csv: {"search_id":"search_id","action":"action","logged_at":"logged_at",'
        '"query":"q","doc_id":"d","ordinal":7}',
        "row 20 of a.csv: a?? " + "x" * 156,
        "row 21 of a.csv: a21",
    ]


@pytest.mark.parametrize(
    ("rows", "searches", "stops"), [(1, 0, True), (1, 1, False), (0, 0, False)]
)
def test_only_a_log_with_rows_and_without_a_search_is_unusable(
    rows: int, searches: int, stops: bool
) -> None:
    united = rejected("'a.csv', 1, 'missing_time', 'a1'") + f" where {rows} = 1"
    duckdb.execute(f"create or replace temp table int_rows__united as from {united}")
    found = f"(select 1 where {searches} = 1)"
    try:
        with pytest.raises(ValueError, match="1 of 1 rows") if stops else nullcontext():
            SqlProject().macro("stop_without_usable_rows", found)
    finally:
        duckdb.execute("drop table int_rows__united")


@pytest.mark.slow
def test_a_log_that_is_half_usable_builds_and_outlives_one_that_is_not(
    flywheel: Flywheel, tmp_path: Path
) -> None:
    bad = ubi.write_csv(tmp_path / "bad.csv", US_DATES)
    half = ubi.write_csv(tmp_path / "half.csv", US_DATES + flat_rows())
    published = (
        "select (select count(*) from fct_searches), (select count(*) from fct_quarantined_rows), "
        "(select sum(n_ordinals)::int from dim_applications)"
    )
    for path, is_usable in ((half, True), (bad, False), (half, True)):
        selection = ("build", "--quiet", "--resource-type", "model", "--resource-type", "seed")
        names = {"log_format": "flat", "flat_log": path}
        run = flywheel.dbt(*selection, "--select", BEHAVIOR, **names)
        assert (run.status == 0) == is_usable, run.output
        assert ("row 3 of bad.csv: " in run.output) != is_usable
        assert flywheel.rows(published) == [(4, 8, 8)]


# --- logs that are sound, but hold nothing to learn from ----------------------------------------


def day_of_searches(n: int, **fields: Any) -> list[ubi.Document]:
    return [
        ubi.query(
            f"s{i}",
            f"text {i % 7}",
            (datetime(2026, 3, 2) + timedelta(minutes=17 * i)).isoformat() + "Z",
            hits=[f"d{(i + k) % 20}" for k in range(10)],
            **fields,
        )
        for i in range(n)
    ]


@pytest.mark.slow
def test_a_log_of_only_bots_builds_empty_marts(flywheel: Flywheel, tmp_path: Path) -> None:
    agent = {"user_agent": "Mozilla/5.0 (compatible; Googlebot/2.1)"}
    searches = day_of_searches(40, client_id="robot", query_attributes=agent)
    clicks = [
        ubi.event("click", f"s{i}", searches[i]["timestamp"], doc=f"d{i % 20}", ordinal=1)
        for i in range(0, 40, 3)
    ]
    path = ubi.write_ndjson(tmp_path / "log.ndjson", searches + clicks)
    run = flywheel.command("build", *ubi_vars(path))
    assert "Traceback" not in run.output
    assert run.status == 0, run.output
    assert flywheel.rows("select count(*), bool_and(is_bot) from fct_searches") == [(40, True)]
    assert flywheel.rows("select count(*) from fct_impressions") == [(0,)]
    assert flywheel.rows("select count(*) from fct_training_pairs") == [(0,)]
    assert flywheel.rows("select is_trainable from fct_training_manifest") == [(False,)]


def test_a_log_without_a_click_builds_and_says_why_it_teaches_nothing(
    flywheel: Flywheel, tmp_path: Path
) -> None:
    searches = [s | {"client_id": f"c{i % 19}"} for i, s in enumerate(day_of_searches(80))]
    path = ubi.write_ndjson(tmp_path / "log.ndjson", searches)
    run = flywheel.command("build", *ubi_vars(path))
    assert "Traceback" not in run.output
    assert run.status == 0, run.output
    assert flywheel.rows("select count(*), sum(clicked)::int from fct_impressions") == [(800, 0)]
    assert flywheel.rows("select count(*) from fct_training_pairs") == [(0,)]
    ((is_trainable, reason),) = flywheel.rows(
        "select is_trainable, not_trainable_reason from fct_training_manifest"
    )
    assert not is_trainable
    assert "click" in reason
