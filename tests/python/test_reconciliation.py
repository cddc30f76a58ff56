"""Nothing is lost: every row that came in is used, merged or quarantined, and counted once.

A log with random damage is written by a generator that knows what it damaged; the warehouse has
to find the same counts. Seeds are fixed.
"""

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import ubi_fixtures as ubi
from conftest import Flywheel

N_SEARCHES = 400
START = datetime(2026, 3, 2)
LISTED = [f"d{n}" for n in range(10)]

# What may happen to a line, and the reason it is then kept out for (None: it is still usable).
QUERY_DAMAGE: dict[str, str | None] = {
    "cut": "malformed_json",
    "bytes": "not_utf8",
    "no time": "missing_time",
    "old": "impossible_time",
    "no id": "missing_search_id",
    "no text": "missing_query",
    "long": "query_too_long",
    "twice": None,
}
CLICK_DAMAGE: dict[str, str | None] = {
    "cut": "malformed_json",
    "bytes": "not_utf8",
    "no time": "missing_time",
    "future": "impossible_time",
    "no id": "missing_search_id",
    "no document": "missing_document",
    "no rank": "missing_rank",
    "deep": "impossible_rank",
    "late": "click_outside_attribution",
    "twice": None,
}


@dataclass
class Written:
    """The lines of a damaged log, and what has to become of them."""

    lines: list[bytes] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    searches: set[str] = field(default_factory=set)
    clicked: set[tuple[str, str]] = field(default_factory=set)

    def add(self, document: ubi.Document, harm: str | None, outcome: str) -> None:
        """Write a document as `harm` leaves it, and note its outcome."""
        line = json.dumps(document).encode()
        if harm == "cut":
            line = line[: len(line) // 2]
        if harm == "bytes":
            line = line.replace(b'": "', b'": "\xff', 1)
        self.lines.append(line)
        self.outcomes[outcome] += 1
        if harm == "twice":
            self.lines.append(line)
            self.outcomes["merged"] += 1


def damaged(document: ubi.Document, harm: str | None) -> ubi.Document:
    """The document after a damage that leaves it a document."""
    changes: dict[str, dict[str, Any]] = {
        "no time": {"timestamp": None},
        "old": {"timestamp": "1970-01-01T00:00:01Z"},
        "future": {"timestamp": "2100-01-01T00:00:00Z"},
        "no id": {"query_id": ""},
        "no text": {"user_query": " "},
        "long": {"user_query": "x" * 20_000},
        "no document": {"event_attributes": {"position": {"ordinal": 3}}},
        "no rank": {"event_attributes": {"object": {"object_id": "unlisted"}}},
        "deep": {"event_attributes": {"object": {"object_id": "d1"}, "position": {"ordinal": 1e6}}},
        "late": {"timestamp": "2026-07-01T00:00:00Z"},
    }
    return document | changes.get(harm or "", {})


def write_damaged_log(folder: Path, seed: int) -> Written:
    """Write the log as two files, and say what has to become of it."""
    chance = random.Random(seed)
    written = Written()

    def harm(choices: dict[str, str | None]) -> str | None:
        return chance.choice(list(choices)) if chance.random() < 0.3 else None

    for n in range(N_SEARCHES):
        name, at = f"s{n}", START + timedelta(minutes=7 * n)
        who = {"client_id": f"c{n % 97}"}
        query = ubi.query(name, f"text {n % 31}", at.isoformat() + "Z", hits=LISTED, **who)
        query_harm = harm(QUERY_DAMAGE)
        reason = QUERY_DAMAGE[query_harm] if query_harm else None
        written.add(damaged(query, query_harm), query_harm, reason or "used")
        has_text = chance.random() < 0.5
        events = []
        for place in chance.sample(range(10), chance.choice([0, 1, 1, 2, 3])):
            click = ubi.event(
                "click",
                name,
                (at + timedelta(seconds=20 + place)).isoformat() + "Z",
                doc=LISTED[place],
                ordinal=place + 1,
                **who,
                **({"user_query": f"text {n % 31}"} if has_text else {}),
            )
            click_harm = harm(CLICK_DAMAGE)
            events.append((damaged(click, click_harm), click_harm, place))

        # Without a usable query row, usable clicks that carry the text make the search.
        usable = ("no rank", "deep", "late", "twice", None)
        made_of_events = reason is not None and has_text
        first = min(
            (e[0]["timestamp"] for e in events if made_of_events and e[1] in usable), default=None
        )
        if reason is None or first is not None:
            written.searches.add(name)
        for document, click_harm, place in events:
            outcome = CLICK_DAMAGE[click_harm] if click_harm else None
            if click_harm in usable and name not in written.searches:
                outcome = "orphan_event"
            elif click_harm == "no rank" and reason is not None:
                outcome = "missing_rank"
            elif click_harm == "late" and document["timestamp"] == first:
                outcome = None  # nothing says that the search was made any earlier
            if outcome is None:
                written.clicked.add((name, LISTED[place]))
            written.add(document, click_harm, outcome or "used")

    order = list(range(len(written.lines)))
    chance.shuffle(order)  # files are not in the order of events
    half = len(order) // 3
    for name, part in (("a.ndjson", order[:half]), ("b/c.ndjson.gz", order[half:])):
        ubi.write_bytes(folder / name, b"\n".join(written.lines[i] for i in part) + b"\n\n")
    return written


@pytest.fixture(scope="module")
def damaged_log(make_flywheel: Callable[[str], Flywheel]) -> tuple[Flywheel, Written]:
    flywheel = make_flywheel("damaged")
    written = write_damaged_log(flywheel.home / "log", seed=20260302)
    flywheel.build(raw_queries=flywheel.home / "log", raw_events=flywheel.home / "log")
    return flywheel, written


def test_the_generator_did_every_kind_of_damage(damaged_log: tuple[Flywheel, Written]) -> None:
    _, written = damaged_log
    reasons = {r for r in (*QUERY_DAMAGE.values(), *CLICK_DAMAGE.values()) if r}
    assert reasons | {"used", "merged", "orphan_event"} == set(written.outcomes)
    assert min(written.outcomes.values()) >= 3


def test_every_row_of_every_file_is_counted_once(damaged_log: tuple[Flywheel, Written]) -> None:
    flywheel, written = damaged_log
    rows = flywheel.rows(
        "select n_rows, n_used + n_merged + n_quarantined from fct_input_reconciliation"
    )
    assert rows
    assert all(n_rows == n_counted for n_rows, n_counted in rows)
    per_file = flywheel.rows(
        "select split_part(source_file, '/log/', 2) as file, sum(n_rows)::int "
        "from fct_input_reconciliation group by 1 order by 1"
    )
    n_first = len(written.lines) // 3
    assert per_file == [("a.ndjson", n_first), ("b/c.ndjson.gz", len(written.lines) - n_first)]


def test_every_row_ends_where_its_damage_sends_it(damaged_log: tuple[Flywheel, Written]) -> None:
    flywheel, written = damaged_log
    found = Counter(
        dict(flywheel.rows("select reason, count(*) from fct_quarantined_rows group by reason"))
    )
    (totals,) = flywheel.records(
        "select sum(n_used)::int as used, sum(n_merged)::int as merged "
        "from fct_input_reconciliation"
    )
    assert found + Counter(totals) == written.outcomes


KNOWN_BESIDE_OTHERS = {
    "orphan_event",
    "impossible_rank",
    "missing_rank",
    "click_outside_attribution",
}
"""Reasons that the rest of the log gives; the text of such a row is not kept, but what it said."""


def test_a_quarantined_row_is_found_at_its_line(damaged_log: tuple[Flywheel, Written]) -> None:
    flywheel, _ = damaged_log
    lines = (flywheel.home / "log" / "a.ndjson").read_bytes().split(b"\n")
    rows = flywheel.rows(
        "select row_number, reason, payload from fct_quarantined_rows "
        "where source_file like '%/a.ndjson' order by row_number"
    )
    assert len(rows) > 30
    for number, reason, payload in rows:
        line = lines[number - 1]
        if reason == "not_utf8":
            assert b"\xff" in line
        elif reason in KNOWN_BESIDE_OTHERS:
            document, said = json.loads(line), json.loads(payload)
            assert said["search_id"] == document["query_id"]
            assert said["doc_id"] == document["event_attributes"]["object"]["object_id"]
        else:
            assert payload == line.decode()[:4000]


def test_the_tables_hold_exactly_the_usable_searches_and_clicks(
    damaged_log: tuple[Flywheel, Written],
) -> None:
    flywheel, written = damaged_log
    assert {s for (s,) in flywheel.rows("select search_id from fct_searches")} == written.searches
    clicked = flywheel.rows("select search_id, doc_id from fct_impressions where clicked = 1")
    assert set(clicked) == written.clicked
    assert flywheel.rows("select bool_or(is_bot) from fct_searches") == [(False,)]


def test_a_second_build_of_the_same_log_changes_nothing(
    damaged_log: tuple[Flywheel, Written],
) -> None:
    flywheel, _ = damaged_log
    tables = ("fct_searches", "fct_impressions", "fct_sessions", "fct_quarantined_rows")

    def contents() -> list[Any]:
        return [sorted(map(repr, flywheel.rows(f"from {table}"))) for table in tables]

    before = contents()
    run = flywheel.dbt(
        *("run", "--quiet", "--select", "+path:models/marts/behavior"),
        raw_queries=flywheel.home / "log",
        raw_events=flywheel.home / "log",
    )
    assert run.status == 0, run.output
    assert contents() == before
