"""The training set: against a second implementation in Python, and blind to what comes later."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from math import log
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from sql_project import SqlProject

START = datetime(2026, 1, 1)
MODELS = (
    "int_windows",
    "int_impression_cells__daily",
    "int_position_cells",
    "int_propensity_ranks",
    "int_rank_components",
    "int_propensity_replicates",
    "int_propensity_curves",
    "int_propensity_power_law_fits",
    "int_propensity_choices",
    "fct_position_propensities",
    "int_click_weights",
    "int_pair_negatives",
    "int_training_clicks",
    "fct_training_pairs",
    "fct_training_groups",
    "int_behavior_events",
    "int_behavior_features",
    "int_evaluation_behavior",
    "int_serving_behavior",
    "int_document_features",
    "int_training_rows",
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
    connection: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    (start, end) = connection.execute(
        "select window_start, window_end from int_windows"
    ).fetchall()[0]
    return [row for row in rows if start <= row["searched_at"] < end]


def test_pairs_are_those_of_a_second_implementation(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    rows = make_log()
    build(connection, rows)
    examined = propensities(connection)
    weights: dict[tuple[str, str], float] = defaultdict(float)
    clicks: dict[tuple[str, str], int] = defaultdict(int)
    shown: dict[str, set[str]] = defaultdict(set)
    for row in in_window(connection, rows):
        shown[row["query"]].add(row["doc_id"])
        if row["clicked"]:
            key = (row["query"], row["doc_id"])
            weights[key] += min(1 / examined[row["rank"]], 2)
            clicks[key] += 1

    def draw(query: str, positive: str) -> list[str]:
        others = shown[query] - {positive}
        return sorted(
            sorted(
                others, key=lambda d: hashlib.md5(f"{query}|{positive}|{d}".encode()).hexdigest()
            )[:4]
        )

    found = records(connection, "select * from fct_training_pairs")
    assert {(row["query"], row["positive_doc"]) for row in found} == set(weights)
    assert any(len(shown[query]) > 5 for query in shown)
    for row in found:
        key = (row["query"], row["positive_doc"])
        assert row["weight"] == pytest.approx(weights[key], rel=1e-9)
        assert row["n_clicks"] == clicks[key]
        assert row["negative_docs"] == draw(*key)


def test_a_group_holds_every_other_document_when_there_is_room(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Then, and because clicked documents are negatives too, the groups are exact."""
    rows = make_log()
    build(connection, rows, negatives_per_positive=20)
    shown: dict[str, set[str]] = defaultdict(set)
    daily: dict[tuple[date, str, str], float] = defaultdict(float)
    examined = propensities(connection)
    for row in in_window(connection, rows):
        shown[row["query"]].add(row["doc_id"])
        if row["clicked"]:
            key = (row["searched_at"].date(), row["query"], row["doc_id"])
            daily[key] += min(1 / examined[row["rank"]], 2)
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in records(connection, "select * from fct_training_groups order by row_order"):
        groups[row["group_id"]].append(row)
    assert len(groups) == len(daily)
    scale = sum(daily[key] * len(shown[key[1]]) for key in daily) / sum(
        len(shown[key[1]]) for key in daily
    )
    for members in groups.values():
        (positive,) = (row for row in members if row["is_positive"])
        assert {row["doc_id"] for row in members} == shown[positive["query"]]
        key = (positive["feature_date"], positive["query"], positive["doc_id"])
        (weight,) = {row["weight"] for row in members}
        assert weight == pytest.approx(daily[key] / scale, rel=1e-5)


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
    for row in sample:
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
        "select * exclude (group_id, is_positive, weight, split, row_order) from ("
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
