"""The twelve ways in which real UBI logs differ from the standard, one test each.

All logs are written by hand into one folder and built once; applications keep the cases apart.
"""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import ubi_fixtures as ubi
from conftest import Flywheel

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


def at(minute: float = 0, *, hour: int = 10) -> str:
    """A time on the day of the log, `minute` after the hour (UTC)."""
    moment = datetime(2026, 3, 2, hour, tzinfo=UTC) + timedelta(minutes=minute)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def bulk(folder: Path) -> None:
    app = {"application": "bulk"}
    documents = [
        ("ubi_queries", ubi.query("bulk-1", "red shoes", at(), hits=["a", "b", "c"], **app)),
        ("ubi_events", ubi.event("click", "bulk-1", at(1), doc="b", ordinal=2, **app)),
        # By its shape an event; its index says that it is a query.
        (
            "ubi_queries",
            ubi.query("bulk-2", "blue shoes", at(), hits=["a"], action_name="search", **app),
        ),
        ("ubi_events", ubi.event("click", "bulk-2", at(1), doc="a", ordinal=1, **app)),
    ]
    ubi.write_bulk(folder / "01_bulk.ndjson.gz", documents)
    ubi.write_tabbed(
        folder / "01_tabbed.ndjson",
        [
            ("ubi_queries", ubi.query("tab-1", "hat", at(), hits=["a", "b"], action_name="search")),
            ("ubi_events", ubi.event("click", "tab-1", at(1), doc="a", ordinal=1)),
        ],
    )
    ubi.write_bulk(
        folder / "01_created.jsonl.zst",
        [
            ("shop-ubi_queries-7", ubi.query("new-1", "cap", at(), hits=["a"], action_name="s")),
            ("shop-ubi_events-7", ubi.event("click", "new-1", at(1), doc="a", ordinal=1)),
        ],
        verb="create",
    )


def rank_bases(folder: Path) -> None:
    documents = []
    # Agreement with the hit list decides although 0 never occurs.
    for application, base in (("zero-hits", 0), ("one-hits", 1)):
        for n in range(3):
            key, app = (
                f"{application}-{n}",
                {"application": application, "client_id": f"{application}-c{n}"},
            )
            documents += [
                ubi.query(key, "lamp", at(), hits=["a", "b", "c"], **app),
                ubi.event("click", key, at(1), doc="b", ordinal=1 + base, **app),
                ubi.event("click", key, at(2), doc="c", ordinal=2 + base, **app),
            ]
    # Without hit lists the share of searches with an ordinal 0 decides: 10 of 10, and 1 of 12.
    for application, base, n_searches in (("zero-views", 0, 10), ("one-views", 1, 12)):
        for n in range(n_searches):
            key, app = f"{application}-{n}", {"application": application, "client_id": f"c{n}"}
            documents.append(ubi.query(key, "lamp", at(), **app))
            documents += [
                ubi.event("impression", key, at(1), doc=doc, ordinal=place + base, **app)
                for place, doc in enumerate("abc")
            ]
            documents.append(ubi.event("click", key, at(2), doc="b", ordinal=1 + base, **app))
    app = {"application": "one-views", "client_id": "c3"}
    documents.append(ubi.event("impression", "one-views-3", at(3), doc="z", ordinal=0, **app))
    ubi.write_ndjson(folder / "02_rank_bases.ndjson", documents)


TIMES = {
    "z": "2026-03-02T10:00:00Z",
    "offset": "2026-03-02T12:30:00+02:30",
    "behind": "2026-03-01T22:00:00.000-12:00",
    "no-zone": "2026-03-02T10:00:00",
    "space": "2026-03-02 10:00:00.000",
    "milliseconds": 1772445600000,
    "milliseconds-text": "1772445600000",
}


def times(folder: Path) -> None:
    documents = [
        ubi.query(f"times-{name}", "clock", value, client_id=name, application="times")
        for name, value in TIMES.items()
    ]
    ubi.write_ndjson(folder / "03_times.ndjson", documents)


def attributes(folder: Path) -> None:
    app = {"application": "attributes"}
    seen = {"session_id": "visit-7", "ip": "192.0.2.7", "browser": AGENT}
    ubi.write_ndjson(
        folder / "04_attributes.ndjson",
        [
            ubi.query("attributes-1", "tent", at(), hits=["a", "b"], **app),
            ubi.event("click", "attributes-1", at(1), doc="b", ordinal=2, attributes=seen, **app),
            ubi.event(
                "page_exit",
                "attributes-1",
                at(5),
                doc="b",
                attributes=seen | {"dwell_time": 42.5},
                **app,
            ),
            # The same visitor, named where the later versions name it.
            ubi.query("attributes-2", "tents", at(10), hits=["c"], **app),
            ubi.event(
                "click", "attributes-2", at(11), doc="c", ordinal=1, session_id="visit-7", **app
            ),
            # The dwell stands in the message only.
            ubi.event(
                "page_exit",
                "attributes-2",
                at(20),
                doc="c",
                message="On page /c for 3.35 seconds",
                **app,
            ),
        ],
    )


def empty_users(folder: Path) -> None:
    app = {"application": "empty-users", "user_id": ""}
    ubi.write_ndjson(
        folder / "05_empty_users.ndjson",
        [
            ubi.query("empty-1", "bag", at(), client_id="c-1", **app),
            ubi.event("click", "empty-1", at(1), doc="a", ordinal=1, client_id="c-1", **app),
            ubi.query("empty-2", "bag", at(), client_id="c-2", **app),
            ubi.query("empty-3", "bag", at(), client_id="", **app),
            ubi.query("empty-4", "bag", at(), client_id="", **app),
        ],
    )


def absences(folder: Path) -> None:
    app = {"application": "absences", "message": None, "message_type": None}
    ubi.write_ndjson(
        folder / "06_absences.ndjson",
        [
            ubi.query("absent-1", "cup", at(), hits=["a", "b", "c", "d"], **app),
            ubi.event("click", "absent-1", at(1), doc="c", **app),
            ubi.event("click", "absent-1", at(2), doc="b", attributes={"position": {}}, **app),
            ubi.event("click", "absent-1", at(3), doc="d", attributes={"position": None}, **app),
            ubi.event("click", "absent-1", at(4), attributes=None, **app),
            ubi.event("click", "absent-1", at(5), ordinal=1, attributes={"object": {}}, **app),
            ubi.event("scroll", "absent-1", at(6), attributes=None, **app),
            ubi.event("click", "absent-1", at(7), doc="elsewhere", **app),
        ],
    )


def filters(folder: Path) -> None:
    app = {"application": "filters", "client_id": "c-filter"}
    views = {"application": "filter-views", "client_id": "c-views"}
    ubi.write_ndjson(
        folder / "07_filters.ndjson",
        [
            ubi.query("filter-1", "sofa", at(0), hits=["a", "b"], **app),
            ubi.event("click", "filter-1", at(1), doc="b", ordinal=-1, **app),
            ubi.event("type_filter", "filter-1", at(20), doc="colour:red", ordinal=-1, **app),
            ubi.query("filter-2", "sofa", at(45), hits=["b"], **app),
            ubi.query("filter-3", "sofa", at(0), **views),
            ubi.event("impression", "filter-3", at(1), doc="a", ordinal=1, **views),
            ubi.event("impression", "filter-3", at(1), doc="b", ordinal=-1, **views),
        ],
    )


def aliases(folder: Path) -> None:
    app = {"application": "aliases", "client_id": "c-alias"}
    clicks = {"a": "click", "b": "item_click", "c": "click_through", "d": "Click "}
    searches = ["search", "on_search", "view_search_results"]
    ubi.write_ndjson(
        folder / "08_aliases.ndjson",
        [
            ubi.query("alias-1", "desk", at(), hits=["a", "b", "c", "d", "e"], **app),
            *(ubi.event(name, "alias-1", at(0.1), user_query="desk", **app) for name in searches),
            *(
                ubi.event(name, "alias-1", at(i + 1), doc=doc, ordinal=i + 1, **app)
                for i, (doc, name) in enumerate(clicks.items())
            ),
            ubi.event("purchase", "alias-1", at(9), doc="b", ordinal=2, **app),
            ubi.event("hover", "alias-1", at(9), doc="e", ordinal=5, **app),
        ],
    )


def hit_lists(folder: Path) -> None:
    app = {"application": "no-hit-lists"}
    documents = [
        ubi.query("nohits-1", "pen", at(), client_id="nohits-c1", **app),
        ubi.query("nohits-2", "pen", at(), hits=None, client_id="nohits-c2", **app),
        ubi.query("nohits-3", "pen", at(), hits=[], client_id="nohits-c3", **app),
        ubi.event("click", "nohits-1", at(2), doc="b", ordinal=2, **app),
        ubi.event("click", "nohits-1", at(3), doc="far", ordinal=9, **app),
    ]
    documents += [
        ubi.event("impression", f"nohits-{n}", at(1), doc=doc, ordinal=rank, **app)
        for n in (1, 2, 3)
        for rank, doc in enumerate("abc", start=1)
    ]
    for n, name in enumerate(("query_response_object_ids", "query_response_objects_ids")):
        documents.append(
            ubi.query(f"oldhits-{n}", "pen", at(), application="old-hit-lists", **{name: [7, 8]})
        )
    ubi.write_ndjson(folder / "09_hit_lists.ndjson", documents)


def orphans(folder: Path) -> None:
    app = {"application": "orphans", "client_id": "c-orphan"}
    ubi.write_ndjson(
        folder / "10_orphans.ndjson",
        [
            ubi.event(
                "click", "orphan-1", at(2), doc="x", ordinal=3, user_query="Green  Tea", **app
            ),
            ubi.event(
                "click", "orphan-1", at(1), doc="y", ordinal=1, user_query="Green  Tea", **app
            ),
            ubi.event("click", "orphan-2", at(3), doc="x", ordinal=3, **app),
            ubi.event("scroll", "orphan-2", at(4), **app),
        ],
    )


def repeats(folder: Path) -> None:
    app = {"application": "repeats", "client_id": "c-repeat"}
    click = ubi.event("click", "repeat-1", at(1), doc="b", ordinal=2, **app)
    ubi.write_ndjson(
        folder / "11_repeats.ndjson",
        [
            ubi.query("repeat-1", "rug", at(), hits=["a", "b"], **app),
            click,
            ubi.event("click", "repeat-1", at(2), doc="b", ordinal=2, **app),
            ubi.event("click", "repeat-1", at(3), doc="b", ordinal=2, **app),
            click,
        ],
    )


def keystrokes(folder: Path) -> None:
    app = {"application": "keystrokes", "client_id": "c-key"}
    cart = {"doc": "a", "ordinal": 1}
    ubi.write_ndjson(
        folder / "12_keystrokes.ndjson",
        [
            ubi.query("key-1", "lap", at(0.02), hits=["x"], **app),
            ubi.query("key-1", "laptop", at(0.03), hits=["a", "b"], **app),
            ubi.query("key-1", "lapto", at(0.03), hits=["y", "z"], **app),
            ubi.query("key-1", "l", at(0.00), hits=["w"], **app),
            ubi.event("add_to_cart", "key-1", at(1), **cart, **app),
            ubi.event("click", "key-1", at(1), **cart, **app),
        ],
    )


def versions(folder: Path) -> None:
    app = {"application": "first-version", "client_id": "c-v1"}
    ubi.write_ndjson(
        folder / "13_first_version.ndjson",
        [
            ubi.query("v1-1", "Élan 茶", at(), hits=[1233, 1234], **app),
            ubi.event("click", "v1-1", at(1), doc=1234, ordinal={"index": 2}, **app),
        ],
    )
    ubi.write_parquet(
        folder / "13_events.parquet",
        """
        select 'click' as action_name, 'pq-1' as query_id, 'parquet' as application,
            timestamp '2026-03-02 10:01:00' as timestamp,
            {'object': {'object_id': 'b'}, 'position': {'ordinal': 2}} as event_attributes
        """,
    )
    ubi.write_parquet(
        folder / "13_queries.parquet",
        """
        select 'pq-1' as query_id, 'parquet' as application, 'vase' as user_query,
            timestamptz '2026-03-02 10:00:00+00' as timestamp,
            ['a', 'b'] as query_response_hit_ids
        """,
    )


WRITERS = (
    *(bulk, rank_bases, times, attributes, empty_users, absences, filters, aliases),
    *(hit_lists, orphans, repeats, keystrokes, versions),
)


@pytest.fixture(scope="module")
def log(make_flywheel: Callable[[str], Flywheel]) -> Flywheel:
    flywheel = make_flywheel("variations")
    folder = flywheel.home / "it's a log"
    for write in WRITERS:
        write(folder)
    ubi.write_ndjson(folder / ".hidden.ndjson", [ubi.query("hidden", "x", at())])
    flywheel.build(raw_queries=folder, raw_events=f"{folder}/")
    return flywheel


def search(log: Flywheel, search_id: str) -> dict[str, Any]:
    (row,) = log.records("select * from fct_searches where search_id = ?", search_id)
    return row


def shown(log: Flywheel, search_id: str, *columns: str) -> dict[str, tuple[Any, ...]]:
    """Document -> its rank, whether it was clicked, and the columns asked for."""
    names = ", ".join(("rank", "clicked", *columns))
    rows = log.rows(f"select doc_id, {names} from fct_impressions where search_id = ?", search_id)
    return {doc: tuple(values) for doc, *values in rows}


def quarantined(log: Flywheel, file: str) -> list[tuple[int, str]]:
    """Row number and reason of every row of a file that was kept out."""
    return log.rows(
        "select row_number, reason from fct_quarantined_rows "
        "where source_file like '%/' || ? order by row_number",
        file,
    )


def reconciled(log: Flywheel, file: str) -> tuple[int, ...]:
    """Rows, used, merged and quarantined of a file."""
    (row,) = log.rows(
        "select sum(n_rows)::int, sum(n_used)::int, sum(n_merged)::int, sum(n_quarantined)::int "
        "from fct_input_reconciliation where source_file like '%/' || ?",
        file,
    )
    return row


def application(log: Flywheel, name: str) -> dict[str, Any]:
    (row,) = log.records("select * from dim_applications where application = ?", name)
    return row


def test_01_bulk_and_tabbed_dumps(log: Flywheel) -> None:
    assert shown(log, "bulk-1") == {"a": (1, 0), "b": (2, 1), "c": (3, 0)}
    assert shown(log, "bulk-2") == {"a": (1, 1)}
    assert shown(log, "tab-1") == {"a": (1, 1), "b": (2, 0)}
    assert shown(log, "new-1") == {"a": (1, 1)}
    for name in ("bulk-2", "tab-1", "new-1"):
        assert search(log, name)["has_query_row"]
    # An action line is part of its document, not a row of its own.
    assert reconciled(log, "01_bulk.ndjson.gz") == (4, 4, 0, 0)
    assert reconciled(log, "01_tabbed.ndjson") == (2, 2, 0, 0)
    assert reconciled(log, "01_created.jsonl.zst") == (2, 2, 0, 0)


def test_02_rank_base_is_decided_per_application(log: Flywheel) -> None:
    bases = {
        name: (application(log, name)["rank_base"], application(log, name)["rank_base_evidence"])
        for name in ("zero-hits", "one-hits", "zero-views", "one-views")
    }
    assert bases == {
        "zero-hits": (0, "agrees with the hit lists"),
        "one-hits": (1, "agrees with the hit lists"),
        "zero-views": (0, "ordinal 0 occurs in many searches"),
        "one-views": (1, "ordinal 0 occurs in few searches"),
    }
    counts = application(log, "one-views")
    assert counts["n_searches_with_zero"] == 1
    assert counts["n_searches_with_ordinals"] == 12
    assert counts["n_ordinals"] == 12 * 4 + 1
    for name in ("zero-hits-1", "one-hits-1"):
        assert shown(log, name) == {"a": (1, 0), "b": (2, 1), "c": (3, 1)}
    for name in ("zero-views-5", "one-views-5", "one-views-3"):
        assert shown(log, name) == {"a": (1, 0), "b": (2, 1), "c": (3, 0)}
    n_lines = 2 * 3 * 3 + (10 + 12) * 5 + 1
    assert quarantined(log, "02_rank_bases.ndjson") == [(n_lines, "impossible_rank")]


def test_03_times_in_every_spelling(log: Flywheel) -> None:
    rows = log.rows("select searched_at from fct_searches where application = 'times'")
    assert rows == [(datetime(2026, 3, 2, 10),)] * len(TIMES)
    assert datetime.fromtimestamp(TIMES["milliseconds"] / 1000, UTC).isoformat() == (
        "2026-03-02T10:00:00+00:00"
    )


def test_04_visitor_agent_and_dwell_inside_event_attributes(log: Flywheel) -> None:
    first, second = search(log, "attributes-1"), search(log, "attributes-2")
    assert first["user_agent"] == AGENT
    assert first["ip_hash"] == hashlib.md5(b"eval-flywheel-192.0.2.7").hexdigest()
    assert first["user_id"] == second["user_id"] == "visit-7"
    assert first["session_id"] == second["session_id"]
    assert shown(log, "attributes-1", "dwell_seconds")["b"] == (2, 1, 42.5)
    assert shown(log, "attributes-2", "dwell_seconds")["c"] == (1, 1, 3.35)
    # Addresses themselves are nowhere.
    for table in (
        "main_staging.base_ubi__events",
        "fct_searches",
        "main_staging.base_ubi__queries",
    ):
        assert log.rows(f"select * from {table} as t where t::varchar like '%192.0.2.7%'") == []


def test_05_an_empty_user_id_is_no_user(log: Flywheel) -> None:
    rows = log.records("select * from fct_searches where application = 'empty-users'")
    assert len(rows) == 4
    assert len({row["user_id"] for row in rows}) == 4
    assert len({row["session_id"] for row in rows}) == 4
    assert {row["logged_user_id"] for row in rows} == {None}
    assert not {"", None} & {row["user_id"] for row in rows}


def test_06_absent_attributes_positions_and_objects(log: Flywheel) -> None:
    # The hit list knows the rank that the event does not.
    assert shown(log, "absent-1") == {"a": (1, 0), "b": (2, 1), "c": (3, 1), "d": (4, 1)}
    assert quarantined(log, "06_absences.ndjson") == [
        (5, "missing_document"),
        (6, "missing_document"),
        (8, "missing_rank"),
    ]
    assert reconciled(log, "06_absences.ndjson") == (8, 5, 0, 3)


def test_07_an_ordinal_of_minus_one_is_no_rank(log: Flywheel) -> None:
    assert shown(log, "filter-1") == {"a": (1, 0), "b": (2, 1)}
    # The filter keeps the session alive: 45 minutes lie between the searches, 25 after it.
    assert search(log, "filter-1")["session_id"] == search(log, "filter-2")["session_id"]
    assert shown(log, "filter-3") == {"a": (1, 0)}
    assert quarantined(log, "07_filters.ndjson") == [(7, "missing_rank")]
    assert application(log, "filters")["n_ordinals"] == 0


def test_08_actions_under_other_names(log: Flywheel) -> None:
    assert shown(log, "alias-1", "is_converted") == {
        "a": (1, 1, False),
        "b": (2, 1, True),
        "c": (3, 1, False),
        "d": (4, 1, False),
        "e": (5, 0, False),
    }
    (session,) = log.records(
        "select * from fct_sessions where session_id = ?", search(log, "alias-1")["session_id"]
    )
    assert session["n_searches"] == 1
    assert session["n_clicks"] == 4
    assert reconciled(log, "08_aliases.ndjson") == (10, 10, 0, 0)


def test_09_without_hit_lists_impression_events_say_what_was_shown(log: Flywheel) -> None:
    assert application(log, "no-hit-lists")["impression_source"] == "impression_event"
    assert application(log, "bulk")["impression_source"] == "hit_list"
    for name in ("nohits-2", "nohits-3"):
        assert shown(log, name) == {"a": (1, 0), "b": (2, 0), "c": (3, 0)}
    # A clicked document was shown, whatever else was logged.
    assert shown(log, "nohits-1", "impression_source") == {
        "a": (1, 0, "impression_event"),
        "b": (2, 1, "impression_event"),
        "c": (3, 0, "impression_event"),
        "far": (9, 1, "click"),
    }
    for name in ("oldhits-0", "oldhits-1"):
        assert shown(log, name) == {"7": (1, 0), "8": (2, 0)}


def test_10_events_without_a_query_row(log: Flywheel) -> None:
    row = search(log, "orphan-1")
    assert not row["has_query_row"]
    assert (row["query"], row["normalized_query"]) == ("Green  Tea", "green tea")
    assert row["searched_at"] == datetime(2026, 3, 2, 10, 1)
    assert shown(log, "orphan-1") == {"y": (1, 1), "x": (3, 1)}
    assert quarantined(log, "10_orphans.ndjson") == [(3, "orphan_event")]
    assert log.rows("select 1 from fct_searches where search_id = 'orphan-2'") == []


def test_11_repeated_clicks_count_once(log: Flywheel) -> None:
    assert shown(log, "repeat-1", "n_click_events") == {"a": (1, 0, 0), "b": (2, 1, 3)}
    assert search(log, "repeat-1")["n_clicks"] == 1
    assert reconciled(log, "11_repeats.ndjson") == (5, 4, 1, 0)


def test_12_searches_at_every_keystroke_are_one(log: Flywheel) -> None:
    assert search(log, "key-1")["query"] == "laptop"
    assert shown(log, "key-1", "n_click_events", "is_converted") == {
        "a": (1, 1, 1, True),
        "b": (2, 0, 0, False),
    }
    assert reconciled(log, "12_keystrokes.ndjson") == (6, 3, 3, 0)


def test_older_versions_other_scripts_and_parquet(log: Flywheel) -> None:
    assert shown(log, "v1-1") == {"1233": (1, 0), "1234": (2, 1)}
    assert search(log, "v1-1")["query"] == "Élan 茶"
    assert shown(log, "pq-1") == {"a": (1, 0), "b": (2, 1)}
    assert search(log, "pq-1")["searched_at"] == datetime(2026, 3, 2, 10)


def test_hidden_files_are_left_alone(log: Flywheel) -> None:
    assert log.rows("select 1 from fct_searches where search_id = 'hidden'") == []
    assert reconciled(log, ".hidden.ndjson") == (None, None, None, None)


def test_nothing_else_was_kept_out(log: Flywheel) -> None:
    rows = log.rows(
        "select distinct regexp_extract(source_file, '[^/]*$') from fct_quarantined_rows"
    )
    assert {name for (name,) in rows} == {
        "02_rank_bases.ndjson",
        "06_absences.ndjson",
        "07_filters.ndjson",
        "10_orphans.ndjson",
    }
