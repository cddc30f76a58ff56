"""The training set: against a second implementation in Python, and blind to what comes later."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import log
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from flywheel.demo import RAW_CLICKS
from flywheel.simulator import World
from sql_project import SqlProject

START = datetime(2026, 1, 1)
MODELS = (
    "int_windows",
    "int_position_cells",
    "int_propensity_ranks",
    "int_propensity_regimes",
    "int_rank_components",
    "int_propensity_replicates",
    "int_propensity_curves",
    "int_propensity_power_law_fits",
    "int_propensity_alphas",
    "int_propensity_auto",
    "int_propensity_choices",
    "fct_position_propensities",
    "int_impressions__weighted",
    "int_click_weights",
    "int_training_clicks",
    "int_pair_negatives",
    "fct_training_pairs",
    "fct_training_groups",
    "int_behavior_events",
    "int_behavior_days",
    "int_behavior_features",
    "int_evaluation_behavior",
    "int_serving_behavior",
    "int_document_features",
    "int_training_rows",
    "int_refit_impressions",
    "int_refit_groups",
    "int_refit_rows",
    "int_evaluation_candidates",
    "int_evaluation_rows",
    "fct_training_manifest",
)
VARIABLES = {
    "evaluation_window_days": 2,
    "training_window_days": 30,
    "attribution_minutes": 60,
    "behavior_prior_impressions": 5,
    "propensity_estimator": "ipf",
    "min_ipf_clicks": 20,
    "min_training_clicks": 100,
    "min_evaluation_clicks": 20,
    "negatives_per_positive": 4,
    "ips_clip": 2,
    "tight_ips_clip": 1.2,
}


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    yield connection
    connection.close()


def make_log(seed: int = 1, searches: int = 1500, days: int = 12) -> list[dict[str, Any]]:
    """Impressions of a position-based log, some clicks of which fall on the next day."""
    rng = np.random.default_rng(seed)
    relevance = rng.uniform(0.1, 0.9, (6, 9))
    seconds = np.sort(rng.uniform(0, days * 86400, searches))
    rows = []
    for number, second in enumerate(seconds):
        query = int(rng.integers(0, 6))
        searched_at = START + timedelta(seconds=int(second))
        shown = np.argsort(-(relevance[query] + rng.normal(0, 0.4, 9)))[:5]
        for rank, document in enumerate(shown, start=1):
            clicked = bool(rng.uniform() < relevance[query, document] * rank**-0.7)
            late = int(rng.integers(1, 3600))
            rows.append(
                {
                    "search_id": f"s{number}",
                    "user_id": f"u{number % 97}",
                    "query": f"q{query}",
                    "doc_id": f"d{document}",
                    "searched_at": searched_at,
                    "rank": rank,
                    "clicked": int(clicked),
                    "clicked_at": searched_at + timedelta(seconds=late) if clicked else None,
                    "is_sat_click": clicked and bool(rng.uniform() < 0.5),
                }
            )
    return rows


def build(
    connection: duckdb.DuckDBPyConnection,
    rows: list[dict[str, Any]],
    features: list[dict[str, Any]] | None = None,
    **variables: Any,
) -> None:
    """Build everything from impressions."""
    schema = pa.schema(
        [
            *((name, pa.string()) for name in ("search_id", "user_id", "query", "doc_id")),
            ("searched_at", pa.timestamp("us")),
            ("rank", pa.int32()),
            ("clicked", pa.int32()),
            ("clicked_at", pa.timestamp("us")),
            ("is_sat_click", pa.bool_()),
        ]
    )
    connection.register("log", pa.Table.from_pylist(rows, schema))
    connection.execute(
        """
        create or replace table fct_impressions as
        select
            *,
            false as is_last_click,
            false as is_pogo,
            false as is_converted,
            false as is_randomised,
            cast(null as integer) as rank_before_swap,
            cast(null as double) as logging_propensity,
            'all' as propensity_context,
            cast(null as varchar) as model_version
        from log
        """
    )
    connection.execute(
        "create or replace table fct_searches as "
        "select distinct search_id, searched_at, false as is_bot from log"
    )
    given = features or [{"query": None, "doc_id": "d0", "length": 1.0}]
    connection.register("given_features", pa.Table.from_pylist(given))
    connection.execute(
        "create or replace table ranking_features as "
        "select * replace (cast(query as varchar) as query) from given_features"
    )
    SqlProject(**(VARIABLES | variables)).build(connection, *MODELS)


def records(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    cursor = connection.execute(sql)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def propensities(connection: duckdb.DuckDBPyConnection) -> dict[int, float]:
    sql = "select rank, propensity from fct_position_propensities where is_active"
    return dict(connection.execute(sql).fetchall())


def in_window(
    connection: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]], until: str = "window_end"
) -> list[dict[str, Any]]:
    (start, end) = connection.execute(f"select window_start, {until} from int_windows").fetchall()[
        0
    ]
    return [row for row in rows if start <= row["searched_at"] < end]


@dataclass(frozen=True)
class Click:
    """A click of the training window.

    Attributes:
        query: what was searched for.
        doc_id: the clicked document.
        day: of the search.
        weight: inverse propensity, clipped as in `VARIABLES`.
        others: every other document its search showed.
    """

    query: str
    doc_id: str
    day: date
    weight: float
    others: frozenset[str]


def clicks_of(
    connection: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]], until: str = "window_end"
) -> list[Click]:
    examined = propensities(connection)
    ((end,),) = connection.execute("select evaluation_end from int_windows").fetchall()
    shown: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        shown[row["search_id"]].add(row["doc_id"])
    return [
        Click(
            row["query"],
            row["doc_id"],
            row["searched_at"].date(),
            min(1 / examined[row["rank"]], 2),
            frozenset(shown[row["search_id"]] - {row["doc_id"]}),
        )
        for row in in_window(connection, rows, until)
        if row["clicked"] and row["clicked_at"] < end
    ]


def draw(query: str, positive: str, others: Iterable[str], size: int) -> list[str]:
    """The others with the lowest hashes, sorted by name."""
    hashes = {
        other: hashlib.md5(f"{query}|{positive}|{other}".encode()).hexdigest() for other in others
    }
    return sorted(sorted(hashes, key=hashes.__getitem__)[:size])


def groups_of(
    connection: duckdb.DuckDBPyConnection, table: str = "fct_training_groups"
) -> list[list[dict[str, Any]]]:
    """Rows of each training group, the positive first."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in records(connection, f"from {table} order by is_positive desc, row_order"):
        groups[row["group_id"]].append(row)
    return list(groups.values())


def test_pairs_are_those_of_a_second_implementation(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    rows = make_log()
    build(connection, rows)
    weights: dict[tuple[str, str], float] = defaultdict(float)
    clicks: dict[tuple[str, str], int] = defaultdict(int)
    beside: dict[tuple[str, str], set[str]] = defaultdict(set)
    for click in clicks_of(connection, rows):
        key = (click.query, click.doc_id)
        weights[key] += click.weight
        clicks[key] += 1
        beside[key] |= click.others

    found = records(connection, "select * from fct_training_pairs")
    assert {(row["query"], row["positive_doc"]) for row in found} == set(weights)
    assert any(len(others) > 4 for others in beside.values())
    for row in found:
        key = (row["query"], row["positive_doc"])
        assert row["weight"] == pytest.approx(weights[key], rel=1e-9)
        assert row["n_clicks"] == clicks[key]
        assert row["negative_docs"] == draw(*key, beside[key], 4)


@pytest.mark.parametrize("size", [20, 3])
@pytest.mark.parametrize(
    ("table", "until"),
    [("fct_training_groups", "window_end"), ("int_refit_groups", "evaluation_end")],
)
def test_a_group_holds_what_was_shown_beside_its_clicks(
    connection: duckdb.DuckDBPyConnection, size: int, table: str, until: str
) -> None:
    """Clicked or not, and drawn by hash where there is not room for all."""
    rows = make_log()
    build(connection, rows, negatives_per_positive=size)
    weights: dict[tuple[date, str, str, frozenset[str]], np.ndarray] = defaultdict(
        lambda: np.zeros(2)
    )
    for click in clicks_of(connection, rows, until):
        weights[click.day, click.query, click.doc_id, click.others] += [
            click.weight,
            min(click.weight, 1.2),
        ]
    rows_of = {key: 1 + min(len(key[3]), size) for key in weights}
    scale = sum(rows_of.values()) / sum(weights[key] * rows_of[key] for key in weights)
    expected = sorted(
        (day, query, doc_id, draw(query, doc_id, others, size), *(both * scale))
        for (day, query, doc_id, others), both in weights.items()
    )
    assert len({round(clipped / weight, 6) for *_, weight, clipped in expected}) > 1
    found = []
    for positive, *others in groups_of(connection, table):
        assert positive["is_positive"] == 1
        assert not any(row["is_positive"] for row in others)
        both = (positive["weight"], positive["clipped_weight"])
        assert {(row["weight"], row["clipped_weight"]) for row in others} == {both}
        key = (positive["feature_date"], positive["query"], positive["doc_id"])
        found.append((*key, sorted(row["doc_id"] for row in others), *both))
    found.sort()
    assert [group[:4] for group in found] == [group[:4] for group in expected]
    for place in (4, 5):
        assert [group[place] for group in found] == pytest.approx(
            [group[place] for group in expected]
        )


Group = tuple[date, str, str, frozenset[str], float]  # ... positive, negatives, weight


def gradients(groups: Iterable[Group], scores: dict[Any, float]) -> dict[Any, float]:
    """LambdaRank's gradient by day, query and document, without normalisation, one positive each.

    In test_ranker.py, LightGBM's is shown to be the same formula.
    """
    found: dict[Any, float] = defaultdict(float)
    for day, query, positive, negatives, weight in groups:
        documents = [(day, query, document) for document in (positive, *sorted(negatives))]
        own = np.array([scores[document] for document in documents])
        ranks = 1 + np.argsort(np.argsort(-own, kind="stable"), kind="stable")
        discount = 1 / np.log2(1 + ranks)
        push = weight * np.abs(discount[0] - discount) / (1 + np.exp(own[0] - own))
        for document, gradient in zip(documents, push, strict=True):
            found[document] += gradient
        found[documents[0]] -= push.sum()
    return found


@pytest.mark.parametrize("size", [20, 3])
def test_merged_groups_have_the_gradient_of_the_single_clicks(
    connection: duckdb.DuckDBPyConnection, size: int
) -> None:
    """At any scores; and one group for all pages of a day, with their union, has another."""
    rows = make_log()
    build(connection, rows, negatives_per_positive=size)
    clicks = clicks_of(connection, rows)
    single: list[Group] = [
        (c.day, c.query, c.doc_id, frozenset(draw(c.query, c.doc_id, c.others, size)), c.weight)
        for c in clicks
    ]
    merged: list[Group] = [
        (
            positive["feature_date"],
            positive["query"],
            positive["doc_id"],
            frozenset(row["doc_id"] for row in others),
            positive["weight"],
        )
        for positive, *others in groups_of(connection)
    ]
    pages: dict[tuple[date, str, str], list[Group]] = defaultdict(list)
    for group in single:
        pages[group[:3]].append(group)
    union: list[Group] = [
        (*key, frozenset().union(*(group[3] for group in on)), sum(group[4] for group in on))
        for key, on in pages.items()
    ]
    # Some clicks share their candidates, and some of one day do not.
    assert len(union) * 1.1 < len(merged) < len(single) / 1.1

    scale = sum(group[4] for group in single) / sum(group[4] for group in merged)
    rng = np.random.default_rng(11)
    keys = sorted({(g[0], g[1], document) for g in single for document in (g[2], *g[3])})
    for _ in range(3):
        scores = dict(zip(keys, rng.normal(0, 2, len(keys)), strict=True))
        exact = gradients(single, scores)
        largest = max(abs(value) for value in exact.values())
        found = gradients(merged, scores)
        naive = gradients(union, scores)
        assert exact.keys() == found.keys()
        off = max(abs(exact[key] - scale * found[key]) for key in exact)
        assert off < 1e-6 * largest
        assert max(abs(exact[key] - naive[key]) for key in exact) > 0.5 * largest


def test_raw_clicks_learn_from_the_same_comparisons(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Without propensities the weights differ, and nothing else: a fair comparison."""
    rows = make_log()
    comparisons = (
        "select * exclude (weight, clipped_weight) from fct_training_groups order by row_order"
    )
    weights = "select distinct ips_weight from int_click_weights"
    build(connection, rows)
    weighted = connection.execute(comparisons).fetchall()
    assert len(connection.execute(weights).fetchall()) > 1
    build(connection, rows, **RAW_CLICKS)
    assert connection.execute(comparisons).fetchall() == weighted
    assert connection.execute(weights).fetchall() == [(1.0,)]


def test_row_order_tells_nothing(connection: duckdb.DuckDBPyConnection) -> None:
    build(connection, make_log())
    (places, groups) = connection.execute(
        """
        select sum(place), count(*)
        from (
            select
                is_positive,
                (row_number() over (partition by group_id order by row_order) - 1)
                / (count(*) over (partition by group_id) - 1) as place
            from fct_training_groups
        )
        where is_positive = 1
        """
    ).fetchall()[0]
    # Five rows a group: the place is uniform on 0, 1/4 .. 1, of variance 1/8.
    assert abs(places / groups - 0.5) < 4 * (1 / 8 / groups) ** 0.5


@pytest.mark.parametrize("threads", [1, 4])
def test_the_same_log_gives_the_same_training_set(
    connection: duckdb.DuckDBPyConnection, threads: int
) -> None:
    rows = make_log()
    build(connection, rows)
    (first,) = connection.execute("select fingerprint from fct_training_manifest").fetchall()[0]
    np.random.default_rng(5).shuffle(rows)
    connection.execute(f"set threads = {threads}")
    build(connection, rows)
    (again,) = connection.execute("select fingerprint from fct_training_manifest").fetchall()[0]
    assert again == first
    (changed,) = [row for row in in_window(connection, rows) if row["clicked"]][:1]
    changed["clicked"] = 0
    build(connection, rows)
    (other,) = connection.execute("select fingerprint from fct_training_manifest").fetchall()[0]
    assert other != first


def expected_behavior(
    rows: list[dict[str, Any]],
    examined: dict[int, float],
    key: tuple[str, str],
    until: datetime,
    day: date,
) -> dict[str, float | None]:
    """The bhv_ columns by looking at every impression and click before `until`."""
    prior = 5

    def sums(keep: Any) -> dict[str, Any]:
        seen = [row for row in rows if keep(row) and row["searched_at"] < until]
        clicked = [
            row for row in rows if keep(row) and row["clicked"] and row["clicked_at"] < until
        ]
        return {
            "exposure": sum(examined[row["rank"]] for row in seen),
            "clicks": len(clicked),
            "sat": sum(row["is_sat_click"] for row in clicked),
            "last": max((row["searched_at"].date() for row in seen), default=None),
        }

    _, document = key
    pair = sums(lambda row: (row["query"], row["doc_id"]) == key)
    doc = sums(lambda row: row["doc_id"] == document)
    every = sums(lambda row: True)
    if doc["last"] is None:
        return {}
    rate = every["clicks"] / every["exposure"]
    sat = every["sat"] / every["clicks"] if every["clicks"] else 0
    doc_rate = (doc["clicks"] + prior * rate) / (doc["exposure"] + prior)
    doc_sat = (doc["sat"] + prior * sat) / (doc["clicks"] + prior)
    return {
        "bhv_click_rate": (pair["clicks"] + prior * doc_rate) / (pair["exposure"] + prior),
        "bhv_log_exposure": log(1 + pair["exposure"]),
        "bhv_sat_rate": (pair["sat"] + prior * doc_sat) / (pair["clicks"] + prior),
        "bhv_days_since_shown": (day - pair["last"]).days if pair["last"] else None,
        "bhv_doc_click_rate": doc_rate,
        "bhv_doc_log_exposure": log(1 + doc["exposure"]),
        "bhv_doc_sat_rate": doc_sat,
        "bhv_doc_days_since_shown": (day - doc["last"]).days,
    }


def has_hidden_history(group_id: str) -> bool:
    """Whether the group is in the share that is shown without a history."""
    digits = hashlib.md5(f"history|{group_id}".encode()).hexdigest()[:13]
    return int(digits, 16) / 16**13 < 0.3


def behavior_of(row: dict[str, Any]) -> dict[str, float]:
    return {
        name: value for name, value in row.items() if name.startswith("bhv_") and value is not None
    }


def test_training_features_are_those_of_the_day_before(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    rows = make_log(searches=400)
    build(connection, rows)
    examined = propensities(connection)
    sample = records(
        connection,
        "select * from int_training_rows where row_order % 7 = 0 or feature_date < '2026-01-03'",
    )
    assert len(sample) > 100
    hidden = [has_hidden_history(row["group_id"]) for row in sample]
    assert 0.15 < sum(hidden) / len(hidden) < 0.45
    for row, is_hidden in zip(sample, hidden, strict=True):
        if is_hidden:
            assert behavior_of(row) == {}
            assert row["behavior_known_on"] is None
            continue
        midnight = datetime.combine(row["feature_date"], datetime.min.time())
        expected = expected_behavior(
            rows, examined, (row["query"], row["doc_id"]), midnight, row["feature_date"]
        )
        expected = {name: value for name, value in expected.items() if value is not None}
        assert behavior_of(row) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_evaluation_and_serving_features_are_those_of_their_moment(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    rows = make_log(searches=400)
    build(connection, rows)
    examined = propensities(connection)
    (end, now) = connection.execute(
        "select window_end, evaluation_end from int_windows"
    ).fetchall()[0]
    for table, until in (("int_evaluation_rows", end), ("int_serving_behavior", now)):
        day = (until - timedelta(microseconds=1)).date() + timedelta(days=1)
        for row in records(connection, f"select * from {table}")[:200]:
            expected = expected_behavior(rows, examined, (row["query"], row["doc_id"]), until, day)
            expected = {name: value for name, value in expected.items() if value is not None}
            assert behavior_of(row) == pytest.approx(expected, rel=1e-9, abs=1e-12), table


def test_nothing_of_the_evaluation_window_reaches_the_training_set(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Turn every click of the evaluation window around: propensities, training rows and the
    features of the evaluated documents stay as they were, to the last bit."""
    rows = make_log()
    tables = (
        "(select rank, propensity from fct_position_propensities) order by all",
        "int_training_rows order by row_order",
        "int_evaluation_rows order by search_id, doc_id",
    )
    build(connection, rows)
    before = [connection.execute(f"from {table}").fetchall() for table in tables]
    (start,) = connection.execute("select evaluation_start from int_windows").fetchall()[0]
    turned = 0
    for row in rows:
        if row["searched_at"] >= start:
            turned += 1
            row["clicked"] = 1 - row["clicked"]
            row["clicked_at"] = row["searched_at"] if row["clicked"] else None
    assert turned > 100
    build(connection, rows)
    after = [connection.execute(f"from {table}").fetchall() for table in tables]
    for first, second in zip(before, after, strict=True):
        assert first == second


def test_no_training_row_knows_its_own_day(connection: duckdb.DuckDBPyConnection) -> None:
    """With propensities that do not depend on clicks, turning the clicks of a day and all later
    ones around changes no feature up to that day."""
    rows = make_log()
    middle = START + timedelta(days=5)
    sql = (
        "select * exclude (group_id, is_positive, weight, clipped_weight, split, row_order) from ("
        f"select * from int_training_rows where feature_date <= '{middle.date()}') order by all"
    )
    build(connection, rows, propensity_estimator="power_law")
    before = {tuple(row) for row in connection.execute(sql).fetchall()}
    for row in rows:
        if row["searched_at"] >= middle and row["rank"] > 1:
            row["clicked"] = 1
            row["clicked_at"] = row["searched_at"]
    build(connection, rows, propensity_estimator="power_law")
    after = {tuple(row) for row in connection.execute(sql).fetchall()}
    assert before
    assert before <= after


def test_a_feature_of_the_pair_wins_over_one_of_the_document(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    build(
        connection,
        make_log(searches=300),
        [
            {"query": None, "doc_id": "d0", "length": 7.0, "age": 3, "title": "text"},
            {"query": " Q1 ", "doc_id": "d0", "length": 9.0, "age": None, "title": "text"},
            {"query": "q2", "doc_id": "d1", "length": None, "age": 4, "title": "text"},
        ],
    )
    found = {
        (row["query"], row["doc_id"]): (row["f_length"], row["f_age"], row["f_title"])
        for row in records(connection, "select * from int_document_features")
    }
    assert found[("q0", "d0")] == (7.0, 3.0, None)
    assert found[("q1", "d0")] == (9.0, 3.0, None)
    assert found[("q2", "d1")] == (None, 4.0, None)
    assert ("q1", "d1") not in found
    names = {row["column_name"] for row in records(connection, "describe int_training_rows")}
    assert {"f_length", "f_age"} <= names
    assert not names & {"f_query", "f_doc_id", "f_feature_query"}


def test_a_features_file_without_features_is_no_error(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    build(connection, make_log(searches=100), [{"query": "q1", "doc_id": "d0"}])
    names = [row["column_name"] for row in records(connection, "describe int_training_rows")]
    assert not [name for name in names if name.startswith("f_")]


def test_a_refit_knows_the_log_to_its_end_and_nothing_after(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """`as_of` ends the log: a search before it whose click came after it had no click."""
    rows = make_log()
    end = START + timedelta(days=10, hours=12)
    build(connection, rows, as_of=end.isoformat())
    inside = [row for row in rows if row["clicked"] and row["searched_at"] < end]
    late = [row for row in inside if row["clicked_at"] >= end]
    assert late
    weights: dict[tuple[date, str, str], int] = defaultdict(int)
    for row in inside:
        if row["clicked_at"] < end:
            weights[row["searched_at"].date(), row["query"], row["doc_id"]] += 1
    assert not {(r["searched_at"].date(), r["query"], r["doc_id"]) for r in late} <= set(weights)
    refitted = records(connection, "select * from int_refit_rows order by row_order")
    assert {
        (row["feature_date"], row["query"], row["doc_id"]) for row in refitted if row["is_positive"]
    } == set(weights)
    assert {row["split"] for row in refitted} == {"refit"}
    assert [row["row_order"] for row in refitted] == list(range(1, len(refitted) + 1))
    assert all(
        row["behavior_known_on"] is None or row["behavior_known_on"] < row["feature_date"]
        for row in refitted
    )
    (windows,) = records(connection, "select * from int_windows")
    assert max(row["feature_date"] for row in refitted) == end.date()
    judged = records(connection, "select * from int_training_rows")
    assert max(row["feature_date"] for row in judged) <= windows["window_end"].date()
    assert not {row["split"] for row in judged} & {"refit"}
    # On the days both know whole, a document has the same features in both.
    names = [name for name in judged[0] if name.startswith(("bhv_", "f_"))]
    known = {(r["group_id"], r["doc_id"]): [r[name] for name in names] for r in judged}
    both = [r for r in refitted if (r["group_id"], r["doc_id"]) in known]
    assert len(both) == len(judged) < len(refitted)
    for row in both:
        assert [row[name] for name in names] == known[row["group_id"], row["doc_id"]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"searches": 0}, "no search by a human"),
        ({"searches": 20}, "min_training_clicks"),
        ({"min_evaluation_clicks": 10**6}, "min_evaluation_clicks"),
    ],
)
def test_the_manifest_says_why_there_is_nothing_to_train(
    connection: duckdb.DuckDBPyConnection, change: dict[str, int], words: str
) -> None:
    searches = change.pop("searches", 1500)
    build(connection, make_log(searches=searches), **change)
    (manifest,) = records(connection, "select * from fct_training_manifest")
    assert not manifest["is_trainable"]
    assert manifest["is_leak_free"]
    assert words in manifest["not_trainable_reason"]


def test_the_manifest_of_a_good_log(connection: duckdb.DuckDBPyConnection) -> None:
    rows = make_log()
    build(connection, rows)
    (manifest,) = records(connection, "select * from fct_training_manifest")
    window = in_window(connection, rows)
    assert manifest["is_trainable"]
    assert manifest["not_trainable_reason"] is None
    assert manifest["n_impressions"] == len(window)
    assert manifest["n_clicks"] == sum(row["clicked"] for row in window)
    assert manifest["n_searches"] == len({row["search_id"] for row in window})
    assert json.loads(manifest["vars"])["ips_clip"] == 2
    assert manifest["n_fit_groups"] + manifest["n_validation_groups"] == manifest["n_groups"]


def test_the_manifest_sees_a_leak(connection: duckdb.DuckDBPyConnection) -> None:
    """The checks must be able to fail: move the evaluation window into the training window."""
    build(connection, make_log())
    connection.execute(
        "update int_windows set evaluation_start = evaluation_start - interval '3' day"
    )
    SqlProject(**VARIABLES).build(connection, "fct_training_manifest")
    (manifest,) = records(connection, "select * from fct_training_manifest")
    assert manifest["n_shared_searches"] > 0
    assert not manifest["is_leak_free"]
    assert not manifest["is_trainable"]


def test_the_manifest_sees_a_document_not_yet_shown(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Plant a negative that its query shows only from the next day on."""
    rows = make_log()
    day = START + timedelta(days=5)
    for row in rows:
        if row["doc_id"] == "d0" and row["searched_at"] >= day + timedelta(days=1):
            row["doc_id"] = "new"
    build(connection, rows)
    (manifest,) = records(connection, "select * from fct_training_manifest")
    assert manifest["n_rows_not_yet_shown"] == 0
    assert manifest["is_leak_free"]
    connection.execute(
        "insert into fct_training_groups "
        "select * replace ('new' as doc_id, 0 as is_positive, 1000000 as row_order) "
        "from fct_training_groups where is_positive = 1 and feature_date = ? "
        "order by row_order limit 1",
        [day.date()],
    )
    SqlProject(**VARIABLES).build(connection, "int_training_rows", "fct_training_manifest")
    (manifest,) = records(connection, "select * from fct_training_manifest")
    assert manifest["n_rows_with_later_features"] == 0
    assert manifest["n_rows_not_yet_shown"] == 1
    assert not manifest["is_leak_free"]
    assert not manifest["is_trainable"]


# Labels: the order that a log shows is kept where nothing was clicked.


def weak_labels(
    connection: duckdb.DuckDBPyConnection, world: World, *, searches: int, depth: int, jitter: float
) -> dict[tuple[int, int], tuple[float, float, np.ndarray]]:
    """Label, ips_ctr and (depth,) impressions by rank of each document shown for a query.

    One search in five goes beyond rank 10.
    """
    rng = np.random.default_rng([world.seed, 9])
    query = rng.choice(world.n_queries, size=searches, p=world.popularity)
    noise = jitter * rng.normal(size=(searches, world.docs_per_query))
    shown = np.argsort(noise - world.production_scores[query], axis=1)[:, :depth]
    clicked = rng.random(shown.shape) < world.click_probability(
        np.take_along_axis(world.gamma[query], shown, axis=1)
    )
    seen = np.ones(shown.shape, dtype=bool)
    seen[rng.random(searches) > 0.2, 10:] = False
    ranks = np.tile(np.arange(1, depth + 1), (searches, 1))
    log_table = pa.table(
        {
            "query": np.repeat(query, depth)[seen.ravel()],
            "doc_id": shown[seen],
            "rank": ranks[seen],
            "clicked": clicked[seen].astype(int),
            "propensity": world.true_propensities(depth)[ranks[seen] - 1],
        }
    )
    connection.register("log_table", log_table)
    flags = ", ".join(
        f"false as {name}" for name in ("is_sat_click", "is_last_click", "is_pogo", "is_converted")
    )
    connection.execute(
        f"""
        create or replace table int_click_weights as select *, {flags} from log_table;
        create or replace table int_windows as
        select timestamp '2026-01-01' as window_start, timestamp '2026-02-01' as window_end
        """
    )
    SqlProject().build(connection, "int_documents__voted", "fct_weak_labels")
    found = {
        (int(q), int(d)): (label, ips_ctr, np.zeros(depth))
        for q, d, label, ips_ctr in connection.execute(
            "select query, doc_id, label, ips_ctr from fct_weak_labels"
        ).fetchall()
    }
    for q, d, rank, n in connection.execute(
        "select query, doc_id, rank, count(*) from log_table group by all"
    ).fetchall():
        found[q, d][2][rank - 1] = n
    return found


@pytest.mark.parametrize(("jitter", "attraction"), [(0.0, 0.3), (0.2, 0.15)])
def test_no_unclicked_document_stands_above_one_shown_higher(
    connection: duckdb.DuckDBPyConnection, jitter: float, attraction: float
) -> None:
    """Of every rank k, no larger share of the deeper one's impressions at or above k."""
    world = World(seed=3, n_queries=60, n_users=10, attraction=attraction)
    found = weak_labels(connection, world, searches=2500, depth=20, jitter=jitter)
    unclicked = defaultdict(list)
    for (query, _), (label, ips_ctr, ranks) in found.items():
        if ips_ctr == 0:
            unclicked[query].append((label, ranks.sum(), ranks.cumsum() / ranks.sum()))
    n_pairs = n_rarer = 0
    for documents in unclicked.values():
        for one, n_one, above_one in documents:
            for other, n_other, above_other in documents:
                deeper = (above_other <= above_one + 1e-9).all()
                if deeper and not np.allclose(above_one, above_other):
                    assert other <= one
                    n_pairs += 1
                    n_rarer += n_other < n_one / 2
    assert n_pairs > 500
    assert n_rarer > 100


def ndcg(grades: np.ndarray) -> float:
    """nDCG@10 of documents in the given order, of all that were shown."""
    gains = 2.0**grades - 1
    discounts = 1 / np.log2(np.arange(2, 12))[: len(gains)]
    return float(gains[:10] @ discounts / (-np.sort(-gains)[:10] @ discounts))


@pytest.mark.slow
def test_labels_order_better_than_the_log(connection: duckdb.DuckDBPyConnection) -> None:
    """Over eight worlds, by the grades: above the logged order, and not below ips_ctr."""
    gains = []
    for seed in range(1, 9):
        world = World(seed=seed, n_queries=100, n_users=10)
        found = weak_labels(connection, world, searches=1500, depth=20, jitter=0.0)
        by_query = defaultdict(list)
        for (query, document), (label, ips_ctr, ranks) in found.items():
            rank = ranks @ np.arange(20) / ranks.sum()
            by_query[query].append((world.grade[query, document], rank, label, ips_ctr))
        values = []
        for documents in by_query.values():
            grade, rank, label, ips_ctr = np.array(documents).T
            if grade.max() > 0:
                orders = [np.lexsort((rank, -value)) for value in (-rank, label, ips_ctr)]
                values.append([ndcg(grade[order]) for order in orders])
        gains.append(np.mean(values, axis=0))
    logged, label, ips_ctr = np.transpose(gains)
    for better, worse in ((label, logged), (label, ips_ctr)):
        gain = better - worse
        assert gain.mean() > 3 * gain.std(ddof=1) / len(gain) ** 0.5


def test_labelling_functions_vote_by_hand(connection: duckdb.DuckDBPyConnection) -> None:
    """Of a, three impressions: two clicked, one satisfied, one the last; none was left at once, and
    conversions are known of two. Of b and of c one, not clicked and left at once.
    """
    connection.execute(
        """
        create table int_windows as
        select timestamp '2026-01-01' as window_start, timestamp '2026-02-01' as window_end;
        create table int_click_weights as
        select 'q' as query, 1 as rank, 1.0 as propensity, * from (
            values
                ('a', 1, true, false, false, false), ('a', 1, false, true, false, null),
                ('a', 0, false, false, false, true), ('b', 0, false, false, false, null),
                ('c', 1, false, false, true, null)
        ) as shown (doc_id, clicked, is_sat_click, is_last_click, is_pogo, is_converted)
        """
    )
    SqlProject().build(connection, "int_documents__voted", "fct_weak_labels")
    found = {
        (doc_id, function): (n_found, n_answers, vote)
        for doc_id, function, n_found, n_answers, vote in connection.execute(
            "select doc_id, labelling_function, n_found, n_answers, vote from int_documents__voted"
        ).fetchall()
    }
    expected = {
        ("a", "clicks"): (2, 3, 2 / 3), ("b", "clicks"): (0, 1, 0), ("c", "clicks"): (1, 1, 1),
        ("a", "sat_clicks"): (1, 2, 0.5), ("b", "sat_clicks"): (0, 0, None),
        ("a", "last_clicks"): (1, 2, 0.5), ("c", "last_clicks"): (0, 1, 0),
        ("a", "pogo_clicks"): (0, 2, 1), ("c", "pogo_clicks"): (1, 1, 0),
        ("a", "conversions"): (1, 2, 0.5), ("c", "conversions"): (0, 0, None),
    }  # fmt: skip
    assert {key: found[key] for key in expected} == expected
    (votes,) = connection.execute("select votes from fct_weak_labels where doc_id = 'a'").fetchone()
    assert votes.startswith(
        '{"clicks": 2, "sat_clicks": 1, "last_clicks": 1, "pogo_clicks": 0, "conversions": 1'
    )
