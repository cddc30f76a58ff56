"""The flat format: the same log as CSV, NDJSON and Parquet gives the same tables."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import ubi_fixtures as ubi
from conftest import Flywheel

AT = "2026-03-02T10:00:00Z"
CLICKED_AT = "2026-03-02T10:00:30Z"
REQUIRED = ("search_id", "searched_at", "query", "doc_id", "rank", "clicked")

# One search as three typed files and four text files must hold it.
RICH = [
    ubi.flat_row(
        "s1",
        doc,
        rank,
        clicked,
        at=AT,
        query='Red, "wide" shoes',
        user_id="u1",
        session_id="v1",
        clicked_at=CLICKED_AT if clicked else None,
        dwell_seconds=31.5 if clicked else None,
        converted=clicked,
        user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        ip="192.0.2.1",
        device="mobile",
        variant="canary",
        model_version="v7",
        is_randomised=1,
        rank_before_swap=4 - rank,
        logging_propensity=0.25,
        grade=rank - 1,
        note="not a column of the format",
    )
    for doc, rank, clicked in (("a", 1, 0), ("b", 2, 1), ("c", 3, 0))
]
BARE = [{name: row[name] for name in REQUIRED} for row in RICH]


def renamed(rows: list[ubi.Document], suffix: str, **fields: Any) -> list[ubi.Document]:
    """The rows under a search, visitor and session of their own."""
    names = ("search_id", "user_id", "session_id")
    own = [row | {n: f"{row[n]}-{suffix}" for n in names if n in row} for row in rows]
    return [row | fields for row in own]


def typed(folder: Path, suffix: str) -> str:
    """The rich rows as a query whose columns have the types a warehouse would give them."""
    text = ubi.write_ndjson(folder / f"{suffix}.ndjson", renamed(RICH, suffix))
    return f"""
        select * replace (
            cast(searched_at as timestamptz) as searched_at,
            cast(clicked_at as timestamp) as clicked_at, cast(rank as smallint) as rank,
            cast(clicked as boolean) as clicked, cast(converted as boolean) as converted,
            cast(is_randomised as boolean) as is_randomised,
            cast(logging_propensity as decimal(9, 4)) as logging_propensity
        )
        from read_json_auto('{text}')
    """


BOM = b"\xef\xbb\xbf"


@pytest.fixture(scope="module")
def log(make_flywheel: Callable[[str], Flywheel]) -> Flywheel:
    flywheel = make_flywheel("flat")
    folder, aside = flywheel.home / "log", flywheel.home / "aside"
    ubi.write_csv(folder / "comma.csv", renamed(RICH, "comma"))
    ubi.write_csv(folder / "more.csv", renamed(RICH, "more"))
    noted = ubi.write_csv(aside / "n.csv", renamed(RICH, "noted")).read_bytes()
    ubi.write_bytes(folder / "noted.csv", noted.replace(b"not a column", b"not a c\xf6lumn"))
    ubi.write_csv(folder / "semicolon.csv.gz", renamed(RICH, "semicolon"), delimiter=";")
    ubi.write_csv(folder / "tab.CSV", renamed(RICH, "tab"), delimiter="\t")
    ubi.write_ndjson(folder / "lines.jsonl.zst", renamed(RICH, "lines"))
    ubi.write_parquet(folder / "typed.parquet", typed(aside, "typed"))
    reordered = [dict(reversed(list(row.items()))) for row in renamed(BARE, "bare")]
    ubi.write_csv(
        folder / "bare.csv", [{k.upper(): v for k, v in row.items()} for row in reordered]
    )
    ubi.write_ndjson(folder / "bare.ndjson", renamed(BARE, "bare-lines"))

    words = {0: "false", 1: "TRUE"}
    spelled = [row | {"clicked": words[row["clicked"]]} for row in renamed(BARE, "words")]
    ubi.write_csv(folder / "words.csv", [row | {"rank": f"{row['rank']}.0"} for row in spelled])
    accented = ubi.write_csv(aside / "x.csv", renamed(BARE, "bom", query="École 茶")).read_bytes()
    ubi.write_bytes(folder / "bom.csv", BOM + accented.replace(b"\n", b"\r\n"))

    good = b"".join(b"q%d,%s,lamp,a,1,1\n" % (i, AT.encode()) for i in range(3))
    ubi.write_bytes(
        folder / "bad.csv",
        b"search_id,searched_at,query,doc_id,rank,clicked\n"
        b'q-inch,2026-03-02,5" pipe,a,1,0\n'
        b"q-short,2026-03-02,lamp\n"
        b"q-long,2026-03-02,lamp,a,1,0,surplus\n"
        b"q-many,2026-03-02,lamp,a,1,0,surplus,and,more\n"
        b"q-latin,2026-03-02,caf\xe9,a,1,0\n"
        b'q-two-lines,2026-03-02,"la\nmp",a,1,0\n'
        b"\n" + good + b"q-word,2026-03-02,lamp,a,1,maybe\n"
        b"q-two,2026-03-02,lamp,a,1,2\n"
        b"q-none,2026-03-02,lamp,a,1,\n"
        b"q-first,2026-03-02,lamp,a,0,0\n"
        b"q-minus,2026-03-02,lamp,a,-1,0\n"
        b"q-deep,2026-03-02,lamp,a,1000000000,0\n"
        b"q-half,2026-03-02,lamp,a,1.5,0\n"
        b"q-no-rank,2026-03-02,lamp,a,,0\n"
        b"q-no-doc,2026-03-02,lamp,,1,0\n"
        b"q-1970,1970-01-01,lamp,a,1,0\n"
        b",2026-03-02,lamp,a,1,0\n"
        b'q-blank,2026-03-02,"  ",a,1,0\n',
    )
    cut = ubi.lines([{**BARE[0], "search_id": "cut"}]).encode()[:-20]
    rows = renamed(BARE, "twice", clicked=0)
    late = {"search_id": "late", "clicked": 1, "clicked_at": "2026-03-02T13:00:00Z"}
    ubi.write_bytes(
        folder / "bad.ndjson",
        ubi.lines([*rows, rows[1] | {"clicked": 1, "rank": 4}]).encode()
        + b"\n"
        + ubi.lines([BARE[0] | late, BARE[0] | {"search_id": "split"}]).encode()
        + ubi.lines([BARE[1] | {"search_id": "split", "query": "something else"}]).encode()
        + cut,
    )
    flywheel.build(log_format="flat", flat_log=folder)
    return flywheel


def quarantined(log: Flywheel, file: str) -> list[tuple[str | None, str]]:
    return log.rows(
        "select search_id, reason from fct_quarantined_rows where source_file like '%/' || ? "
        "order by row_number",
        file,
    )


def impressions(log: Flywheel, search_id: str) -> list[dict[str, Any]]:
    return log.records("select * from fct_impressions where search_id = ? order by rank", search_id)


@pytest.mark.parametrize("name", ["comma", "more", "noted", "semicolon", "tab", "lines", "typed"])
def test_every_container_gives_the_same_rows(log: Flywheel, name: str) -> None:
    rows = log.records(
        "select * from fct_impressions where search_id = ? order by rank", f"s1-{name}"
    )
    assert [(row["doc_id"], row["rank"], row["clicked"]) for row in rows] == [
        ("a", 1, 0),
        ("b", 2, 1),
        ("c", 3, 0),
    ]
    for row in rows:
        assert row["query"] == 'red, "wide" shoes'
        assert row["searched_at"] == datetime(2026, 3, 2, 10)
        assert row["is_randomised"] is True
        assert row["rank_before_swap"] == 4 - row["rank"]
        assert row["logging_propensity"] == 0.25
        assert row["grade"] == row["rank"] - 1
        assert row["is_converted"] == bool(row["clicked"])
        assert (row["device"], row["variant"], row["model_version"]) == ("mobile", "canary", "v7")
        assert row["impression_source"] == "row"
    assert [row["dwell_seconds"] for row in rows] == [None, 31.5, None]
    assert rows[1]["clicked_at"] == datetime(2026, 3, 2, 10, 0, 30)
    assert rows[1]["is_sat_click"]
    (search,) = log.records("select * from fct_searches where search_id = ?", f"s1-{name}")
    assert search["user_id"] == f"u1-{name}"
    assert (search["n_shown"], search["n_clicks"]) == (3, 1)
    assert search["ip_hash"] is not None
    assert quarantined(log, f"{name}%") == []


@pytest.mark.parametrize("name", ["bare", "bare-lines", "words", "bom"])
def test_the_required_columns_are_enough(log: Flywheel, name: str) -> None:
    rows = log.records(
        "select * from fct_impressions where search_id = ? order by rank", f"s1-{name}"
    )
    assert [(row["doc_id"], row["rank"], row["clicked"]) for row in rows] == [
        ("a", 1, 0),
        ("b", 2, 1),
        ("c", 3, 0),
    ]
    assert {row["variant"] for row in rows} == {None}
    assert {row["is_randomised"] for row in rows} == {False}
    assert rows[1]["dwell_seconds"] is None
    assert rows[1]["is_dwell_censored"]


def test_other_scripts_survive_a_byte_order_mark_and_windows_line_ends(log: Flywheel) -> None:
    assert log.rows("select query from fct_searches where search_id = 's1-bom'") == [("École 茶",)]


def test_a_bad_csv_row_costs_only_itself(log: Flywheel) -> None:
    found = {name: reason for name, reason in quarantined(log, "bad.csv") if name}
    assert found == {
        "q-short": "missing_document",
        "q-long": "malformed_csv",
        "q-many": "malformed_csv",
        "q-word": "invalid_clicked",
        "q-two": "invalid_clicked",
        "q-none": "invalid_clicked",
        "q-first": "impossible_rank",
        "q-minus": "impossible_rank",
        "q-deep": "impossible_rank",
        "q-half": "impossible_rank",
        "q-no-rank": "missing_rank",
        "q-no-doc": "missing_document",
        "q-1970": "impossible_time",
        "q-blank": "missing_query",
    }
    nameless = sorted(reason for name, reason in quarantined(log, "bad.csv") if not name)
    assert nameless == ["missing_search_id", "not_utf8"]
    kept = log.rows(
        "select search_id, query from fct_searches where search_id like 'q%' order by search_id"
    )
    assert kept == [
        ("q-first", "lamp"),
        ("q-inch", '5" pipe'),
        ("q-two-lines", "la\nmp"),
        ("q0", "lamp"),
        ("q1", "lamp"),
        ("q2", "lamp"),
    ]
    ((payload,),) = log.rows("select payload from fct_quarantined_rows where reason = 'not_utf8'")
    assert payload.startswith("q-latin,")


def test_bad_lines_duplicates_and_contradictions(log: Flywheel) -> None:
    # The same document twice is one impression: clicked, at the place where it was clicked.
    assert log.rows(
        "select doc_id, rank, clicked from fct_impressions where search_id = 's1-twice' order by 1"
    ) == [("a", 1, 0), ("b", 4, 1), ("c", 3, 0)]
    assert quarantined(log, "bad.ndjson") == [
        ("late", "click_outside_attribution"),
        ("split", "conflicting_search"),
        (None, "malformed_json"),
    ]
    ((number,),) = log.rows(
        "select row_number from fct_quarantined_rows where reason = 'malformed_json'"
    )
    assert number == 9  # a blank line is counted, so that an editor finds the row


def test_the_rank_base_of_a_flat_log_is_recorded(log: Flywheel) -> None:
    (row,) = log.records("select * from dim_applications")
    assert (row["source_format"], row["application"]) == ("flat", "flat")
    assert row["rank_base"] == 1
    assert row["rank_base_evidence"] == "ordinal 0 occurs in few searches"


def test_a_zero_based_flat_log_is_shifted(flywheel: Flywheel, tmp_path: Path) -> None:
    rows = [
        row | {"rank": row["rank"] - 1, "rank_before_swap": row["rank_before_swap"] - 1}
        for n in range(4)
        for row in renamed(RICH, str(n))
    ]
    path = ubi.write_csv(tmp_path / "log.csv", rows)
    run = flywheel.dbt(
        *("run", "--quiet", "--select", "+int_log_impressions", "+dim_applications"),
        log_format="flat",
        flat_log=path,
    )
    assert run.status == 0, run.output
    assert flywheel.rows("select rank_base from dim_applications") == [(0,)]
    assert flywheel.rows(
        "select distinct doc_id, rank, rank_before_swap "
        "from main_intermediate.int_log_impressions order by 1"
    ) == [("a", 1, 3), ("b", 2, 2), ("c", 3, 1)]
