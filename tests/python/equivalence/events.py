"""Small raw logs with everything that makes a log awkward, as hypothesis strategies.

A log is a list of small records, each standing for a line or a few, so that a failing log can be
shrunk to the records that matter. Times stand on a grid that makes ties, gaps of exactly the
session's timeout and midnights frequent.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

import ubi_fixtures as ubi
from equivalence.files import Delivery, Row, by_arrival

START = datetime(2026, 3, 1, 23, 0)
SEARCHES = ((0, 0), (0, 0), (0, 30), (0, 59), (0, 61), (0, 91), (1, 30), (1, 60), (2, 1440))
"""Who makes each search, and how many minutes after `START`: one visitor mostly, around midnight,
two at one moment, with gaps of a session's timeout and a minute less."""
MINUTES = (0, 0, 0, 0, 0, 0, 1, 29, 30, 31, 121, 1440)
"""How long after that something happens."""
SECONDS = (0, 0, 0, 1, 40)
DELAYS = (0, 0, 0, 1, 13, 30, 100, 168)
"""Hours between an event and its arrival; up to seven days."""
TEXTS = ("red shoes", "Red  Shoes ", "blue hat", "x")
MODELS = (None, "ranker-1", "ranker-2")
_BROWSER = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"
AGENTS = (_BROWSER, _BROWSER.replace("140", "141"), None, "curl/8.5.0")
DOCUMENTS = ("a", "b", "c", "d")
TOO_SOON = "2035-01-01T00:00:00Z"
"""Years ahead of every arrival."""

UBI_KINDS = (
    *("search",) * 3,
    *("click",) * 6,
    *("page_exit",) * 3,
    *("impression", "keystroke", "typed", "conversion", "filter", "orphan"),
    *("future", "future click", "no time", "cut", "bulk action", "deep"),
)


@dataclass(frozen=True)
class UbiRecord:
    """One line of a UBI log.

    Attributes:
        kind: what happens.
        search: in which search.
        stranger: who does it instead of the search's own user; 3 steps on is nobody.
        minute: place in `MINUTES`.
        second: place in `SECONDS`, on top.
        doc: place in `DOCUMENTS`.
        ordinal: as logged.
        text: place in `TEXTS`.
        application: 0 or 1.
        model: place in `MODELS`; the variant follows from it, the third also swaps at random.
        delay: place in `DELAYS`.
        again: place in `DELAYS` of a second delivery, or None.
    """

    kind: str
    search: int = 0
    stranger: int = 0
    minute: int = 0
    second: int = 0
    doc: int = 0
    ordinal: int = 1
    text: int = 0
    application: int = 0
    model: int = 0
    delay: int = 0
    again: int | None = None


@dataclass(frozen=True)
class FlatRecord:
    """One row of a flat log; attributes as in `UbiRecord`, and these.

    Attributes:
        kind: `row`, or what is wrong with it.
        clicked: whether it was.
        click_after: seconds, or None where the log does not say.
        dwell: seconds, or None.
        before: rank before a random swap, or None where there was none.
        differs: the second delivery says the opposite of `clicked`, and another dwell.
    """

    kind: str = "row"
    search: int = 0
    stranger: int = 0
    minute: int = 0
    second: int = 0
    doc: int = 0
    ordinal: int = 1
    text: int = 0
    model: int = 0
    clicked: bool = False
    click_after: int | None = None
    dwell: float | None = None
    before: int | None = None
    delay: int = 0
    again: int | None = None
    differs: bool = False


def _places(values: Sequence[Any]) -> st.SearchStrategy[int]:
    return st.integers(0, len(values) - 1)


_again = st.sampled_from((*(None,) * 12, *range(len(DELAYS))))
_rarely = st.sampled_from((0, 0, 0, 0, 0, 0, 0, 1, 2, 3))

# Most searches are logged as they should be; what else is in the log happens around them.
_ubi_searches = st.tuples(
    *[
        st.none()
        | st.builds(
            UbiRecord,
            kind=st.just("search"),
            search=st.just(search),
            text=_rarely,
            application=_rarely.map(bool).map(int),
            model=_places(MODELS),
            delay=_places(DELAYS),
            again=_again,
        )
        for search in range(len(SEARCHES))
    ]
)
_ubi_events = st.lists(
    st.builds(
        UbiRecord,
        kind=st.sampled_from(UBI_KINDS),
        search=_places(SEARCHES),
        stranger=_rarely,
        minute=_places(MINUTES),
        second=_places(SECONDS),
        doc=_places(DOCUMENTS),
        ordinal=st.integers(0, 4),
        text=_places(TEXTS),
        application=_rarely.map(bool).map(int),
        model=_places(MODELS),
        delay=_places(DELAYS),
        again=_again,
    ),
    min_size=10,
    max_size=40,
)
ubi_logs = st.builds(lambda a, b: [r for r in a if r is not None] + b, _ubi_searches, _ubi_events)

_flat_searches = st.tuples(
    *[
        st.tuples(
            *[
                st.none()
                | st.builds(
                    FlatRecord,
                    search=st.just(search),
                    doc=st.just(doc),
                    ordinal=st.just(doc + 1),
                    clicked=st.booleans(),
                    click_after=st.sampled_from((None, 0, 3, 1800)),
                    dwell=st.sampled_from((None, 2.5, 40.0)),
                    model=st.just(search % len(MODELS)),
                    delay=_places(DELAYS),
                    again=_again,
                    differs=st.booleans(),
                )
                for doc in range(3)
            ]
        )
        for search in range(len(SEARCHES))
    ]
)
_flat_rows = st.lists(
    st.builds(
        FlatRecord,
        kind=st.sampled_from(("row",) * 12 + ("future", "cut", "blank", "no rank", "deep")),
        search=_places(SEARCHES),
        stranger=_rarely,
        minute=_places(MINUTES),
        second=_places(SECONDS),
        doc=_places(DOCUMENTS),
        ordinal=st.integers(0, 4),
        text=_rarely,
        model=_places(MODELS),
        clicked=st.booleans(),
        click_after=st.sampled_from((None, 0, 3, 1800, 1801, 9000)),
        dwell=st.sampled_from((None, 2.5, 30.0, 40.0)),
        before=st.none() | st.integers(0, 3),
        delay=_places(DELAYS),
        again=_again,
        differs=st.booleans(),
    ),
    min_size=5,
    max_size=20,
)
flat_logs = st.builds(
    lambda searches, rows: [r for search in searches for r in search if r is not None] + rows,
    _flat_searches,
    _flat_rows,
)


def ubi_files(log: Sequence[UbiRecord]) -> tuple[Delivery, ...]:
    """The files of a UBI log, an hour of arrival each."""
    rows = (
        (happens(record) + timedelta(hours=DELAYS[delay]), row)
        for record in log
        for delay in (record.delay, record.again)
        if delay is not None
        for row in _ubi_rows(record)
    )
    return by_arrival(rows, hours=1)


def flat_files(log: Sequence[FlatRecord]) -> tuple[Delivery, ...]:
    """The files of a flat log, an hour of arrival each, some of them Parquet."""
    rows = []
    for record in log:
        at = happens(record)
        rows.append((at + timedelta(hours=DELAYS[record.delay]), _flat_row(record)))
        if record.again is not None:
            again = _flat_row(record, differs=record.differs)
            rows.append((at + timedelta(hours=DELAYS[record.again]), again))
    return by_arrival(rows, hours=1, parquet_every=3)


def happens(record: UbiRecord | FlatRecord) -> datetime:
    """When it happens, as far as the log says; naive UTC."""
    minutes = SEARCHES[record.search][1] + MINUTES[record.minute]
    return START + timedelta(minutes=minutes, seconds=SECONDS[record.second])


def _user(record: UbiRecord | FlatRecord) -> int:
    return (SEARCHES[record.search][0] + record.stranger) % 4


def _ubi_rows(record: UbiRecord) -> Iterator[Row]:
    kind, name, at = record.kind, f"q{record.search}", happens(record)
    stamp, user = at.isoformat() + "Z", _user(record)
    who: dict[str, Any] = {"application": f"app{record.application}"}
    if user < 3:
        who["client_id"] = f"c{user}"
    doc = DOCUMENTS[record.doc]
    model = MODELS[record.model]
    if kind in ("search", "keystroke", "future"):
        shift = record.doc
        attributes = {
            "user_agent": AGENTS[user % len(AGENTS)],
            "device": ("phone", "desktop")[user % 2],
            "is_randomised": record.model == 2,
        }
        if model is not None:
            attributes |= {
                "model_version": model,
                "variant": "canary" if record.model == 2 else "champion",
            }
        yield ubi.query(
            name,
            TEXTS[record.text][:3] if kind == "keystroke" else TEXTS[record.text],
            TOO_SOON if kind == "future" else stamp,
            hits=[*DOCUMENTS[shift:], *DOCUMENTS[:shift]],
            query_attributes=attributes,
            **who,
        )
    elif kind == "typed":
        yield ubi.event("search", name, stamp, user_query=TEXTS[record.text], **who)
    elif kind == "filter":
        yield ubi.event("brand_filter", name, stamp, ordinal=record.ordinal, **who)
    elif kind == "orphan":
        yield ubi.event("click", f"nobody{record.search}", stamp, doc=doc, ordinal=1, **who)
    elif kind == "no time":
        yield ubi.event("click", name, None, doc=doc, ordinal=1, **who)
    elif kind == "cut":
        yield json.dumps(ubi.query(name, "cut", stamp, **who))[: 40 + 5 * record.doc]
    elif kind == "bulk action":
        yield {"index": {"_index": "ubi_events"}}
        yield ubi.event("click", name, stamp, doc=doc, ordinal=record.ordinal, **who)
    elif kind == "page_exit" and record.text % 2:
        # An exit that says how long the visit was, and one (below) that only ends it.
        yield ubi.event("page_exit", name, stamp, doc=doc, attributes={"dwell_time": 12.5}, **who)
    else:
        action = {"deep": "click", "future click": "click"}.get(kind, kind)
        yield ubi.event(
            action,
            name,
            TOO_SOON if kind == "future click" else stamp,
            doc=doc,
            ordinal=5000 if kind == "deep" else record.ordinal,
            **who,
        )


def _flat_row(record: FlatRecord, *, differs: bool = False) -> Row:
    if record.kind == "cut":
        return '{"search_id": "q0", "rank'
    if record.kind == "blank":
        return " "
    at, user = happens(record), _user(record)
    stamp = TOO_SOON if record.kind == "future" else at.isoformat() + "Z"
    clicked = record.clicked ^ differs
    clicked_at = None
    if clicked and record.click_after is not None:
        clicked_at = (at + timedelta(seconds=record.click_after)).isoformat() + "Z"
    dwell = record.dwell if clicked else None
    return ubi.flat_row(
        f"q{record.search}",
        DOCUMENTS[record.doc],
        {"no rank": None, "deep": 5000}.get(record.kind, record.ordinal),
        int(clicked),
        at=stamp,
        query=TEXTS[(record.search + record.text) % len(TEXTS)],
        user_id=f"c{user}" if user < 3 else None,
        user_agent=AGENTS[user % len(AGENTS)],
        device=("phone", "desktop")[user % 2],
        clicked_at=clicked_at,
        dwell_seconds=dwell + 1 if differs and dwell is not None else dwell,
        model_version=MODELS[record.model],
        variant=(None, "champion", "canary")[record.model],
        is_randomised=record.before is not None,
        rank_before_swap=record.before,
    )
