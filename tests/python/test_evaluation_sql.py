"""The offline metrics of the SQL against their definitions, written out in Python."""

import hashlib
import math
from collections import defaultdict
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from sql_project import SqlProject

MODELS = (
    "fct_ranker_scores",
    "int_impressions__weighted",
    "int_evaluation_searches__scored",
    "int_evaluation_users__summed",
    "fct_offline_evaluations",
)
METRICS = (
    "ndcg_at_10",
    "dcg_at_10",
    "mrr",
    "ips_gain_at_10",
    "ips_dcg_at_10",
    "ips_mrr",
    "snips_ndcg_at_10",
    "snips_dcg_at_10",
    "snips_mrr",
)
CLIP = 4.0
REPLICATES = 60
INPUTS = {
    "evaluations": "evaluation_id varchar, model_version varchar, champion_version varchar, "
    "window_start timestamp, window_end timestamp, requested_at timestamp",
    "ranker_scores": "model_version varchar, search_id varchar, doc_id varchar, score double",
    "fct_searches": "search_id varchar, user_id varchar, searched_at timestamp, is_bot boolean, "
    "is_randomised boolean, variant varchar",
    "fct_impressions": "search_id varchar, doc_id varchar, rank integer, clicked integer, "
    "rank_before_swap integer, propensity_context varchar",
    "fct_position_propensities": "context varchar, rank integer, propensity double, "
    "is_active boolean",
}


class Shown(NamedTuple):
    """A document of a search, as the reference sees it."""

    doc_id: str
    clicked: int
    weight: float
    scores: dict[str, float | None]


class Search(NamedTuple):
    """A search, as the reference sees it."""

    search_id: str
    user_id: str
    is_plain: bool
    shown: list[Shown]


def warehouse(tables: dict[str, list[tuple[Any, ...]]]) -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory with the evaluation's inputs; those not given are empty."""
    connection = duckdb.connect()
    for name, columns in INPUTS.items():
        connection.execute(f"create table {name} ({columns})")
        rows = tables.get(name, [])
        if rows:
            names = [column.split()[0] for column in columns.split(", ")]
            columnar = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
            connection.register("rows_of_table", pa.table(columnar))
            connection.execute(f"insert into {name} select * from rows_of_table")
            connection.unregister("rows_of_table")
    return connection


def evaluate(connection: duckdb.DuckDBPyConnection, **variables: Any) -> dict[tuple[str, ...], Any]:
    """Build the evaluation models; the mart's rows by evaluation, model and metric."""
    defaults = {
        "ips_clip": CLIP,
        "bootstrap_replicates": REPLICATES,
        "min_evaluation_clicks": 1,
    }
    project = SqlProject(**(defaults | variables))
    project.build(connection, *MODELS)
    rows = connection.sql("select * from fct_offline_evaluations").to_arrow_table().to_pylist()
    return {(r["evaluation_id"], r["model_version"], r["metric"]): r for r in rows}


def order(search: Search, version: str) -> list[Shown]:
    """The documents as a model puts them; equal scores by md5."""

    def key(document: Shown) -> tuple[float, str]:
        score = document.scores[version]
        assert score is not None
        digest = hashlib.md5((search.search_id + document.doc_id).encode()).hexdigest()
        return -score, digest

    return sorted(search.shown, key=key)


def dcg(gains: list[float]) -> float:
    """Sum of gains over log2(1 + rank), ranks 1 to 10."""
    return sum(gain / math.log2(1 + rank) for rank, gain in enumerate(gains[:10], start=1))


def sums(searches: list[Search], version: str) -> dict[str, np.ndarray]:
    """Per metric the numerators and denominators of every search, from the definitions."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for search in searches:
        ranked = order(search, version)
        clicks = [float(d.clicked) for d in ranked]
        weights = [d.weight if d.clicked else 0.0 for d in ranked]
        has_click = float(any(clicks))
        ideal = dcg(sorted(clicks, reverse=True))
        naive_ndcg = dcg(clicks) / ideal if ideal else 0.0
        first = next((1 / rank for rank, c in enumerate(clicks, start=1) if c), 0.0)
        reciprocal = sum(w / rank for rank, w in enumerate(weights, start=1))
        found["ndcg_at_10"].append((naive_ndcg, has_click))
        found["dcg_at_10"].append((dcg(clicks), 1.0))
        found["mrr"].append((first, has_click))
        found["ips_gain_at_10"].append((dcg(weights) / ideal if ideal else 0.0, has_click))
        found["ips_dcg_at_10"].append((dcg(weights), 1.0))
        found["ips_mrr"].append((reciprocal, 1.0))
        found["snips_ndcg_at_10"].append((dcg(weights), dcg(sorted(weights, reverse=True))))
        found["snips_dcg_at_10"].append((dcg(weights), sum(weights)))
        found["snips_mrr"].append((reciprocal, sum(weights)))
    return {metric: np.array(pairs) for metric, pairs in found.items()}


def random_log(seed: int) -> tuple[dict[str, list[tuple[Any, ...]]], list[Search]]:
    """Searches of 0 to 14 documents, many scores equal, many without a click, some unusable."""
    rng = np.random.default_rng(seed)
    propensities = {
        (context, rank): float(rank ** -(0.6 + 0.5 * i))
        for i, context in enumerate(("desktop", "mobile"))
        for rank in range(1, 15)
    }
    tables: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    searches = []
    for number in range(400):
        search_id, user_id = f"s{number}", f"u{rng.integers(60)}"
        context = str(rng.choice(["desktop", "mobile"]))
        is_bot, is_random = rng.random() < 0.05, rng.random() < 0.1
        variant = rng.choice([None, "champion", "canary"], p=[0.4, 0.4, 0.2])
        is_complete = rng.random() > 0.1
        moment = np.datetime64("2026-03-01T00:00:00") + np.timedelta64(number, "h")
        tables["fct_searches"].append(
            (search_id, user_id, moment.item(), is_bot, is_random, variant)
        )
        shown = []
        length = int(rng.integers(0, 15))
        before = rng.permutation(length) + 1 if is_random else [None] * length
        for rank in range(1, length + 1):
            doc_id = f"d{rng.integers(10**6)}"
            clicked = int(rng.random() < 0.12)
            swapped = None if before[rank - 1] is None else int(before[rank - 1])
            scores: dict[str, float | None] = {
                "v1": float(rng.integers(3)),
                "v2": float(rng.integers(3)),
                "logged": -float(swapped or rank),
            }
            if not is_complete and rank == length:
                scores["v2"] = None
            for version in ("v1", "v2"):
                if scores[version] is not None:
                    tables["ranker_scores"].append((version, search_id, doc_id, scores[version]))
            tables["fct_impressions"].append((search_id, doc_id, rank, clicked, swapped, context))
            weight = min(1 / propensities[context, rank], CLIP)
            shown.append(Shown(doc_id, clicked, weight, scores))
        is_inside = number < 350
        if not is_bot and is_inside and shown:
            is_plain = not is_random and variant != "canary"
            searches.append(Search(search_id, user_id, is_plain, shown))
    tables["fct_position_propensities"] = [
        (context, rank, value, True) for (context, rank), value in propensities.items()
    ] + [("desktop", 1, 0.001, False)]
    end = np.datetime64("2026-03-01T00:00:00") + np.timedelta64(350, "h")
    window = (np.datetime64("2026-03-01T00:00:00").item(), end.item())
    tables["evaluations"] = [
        ("models", "v2", "v1", *window, end.item()),
        ("logged", "v2", "logged", *window, end.item()),
        ("nothing", "v2", "v1", np.datetime64("2020-01-01T00:00:00").item(), window[0], end.item()),
    ]
    return tables, searches


def evaluated(searches: list[Search], champion: str) -> list[Search]:
    """Searches that an evaluation against the champion may use."""
    return [
        s
        for s in searches
        if (s.is_plain or champion != "logged") and all(d.scores["v2"] is not None for d in s.shown)
    ]


@pytest.mark.parametrize("seed", [1, 2])
def test_metrics_equal_their_definitions(seed: int) -> None:
    tables, searches = random_log(seed)
    rows = evaluate(warehouse(tables))
    for evaluation_id, champion in (("models", "v1"), ("logged", "logged")):
        used = evaluated(searches, champion)
        assert len(used) > 100
        values = {}
        for version in ("v2", champion):
            for metric, pairs in sums(used, version).items():
                row = rows[evaluation_id, version, metric]
                values[version, metric] = pairs[:, 0].sum() / pairs[:, 1].sum()
                assert row["value"] == pytest.approx(values[version, metric], abs=1e-9), metric
                assert row["n"] == len(used)
                assert row["n_users"] == len({s.user_id for s in used})
                assert row["n_clicks"] == sum(d.clicked for s in used for d in s.shown)
        for metric in METRICS:
            delta = values["v2", metric] - values[champion, metric]
            assert rows[evaluation_id, "v2", metric]["delta"] == pytest.approx(delta, abs=1e-9)
            assert rows[evaluation_id, champion, metric]["delta"] is None
        weights = np.array([d.weight for s in used for d in s.shown if d.clicked])
        effective = weights.sum() ** 2 / (weights**2).sum()
        found = rows[evaluation_id, "v2", "mrr"]["effective_clicks"]
        assert found == pytest.approx(effective, rel=1e-9)


def test_an_evaluation_that_finds_no_search_says_so() -> None:
    tables, _ = random_log(1)
    rows = evaluate(warehouse(tables))
    for metric in METRICS:
        row = rows["nothing", "v2", metric]
        assert (row["value"], row["delta"], row["n"], row["is_better"]) == (None, None, 0, False)


def test_nothing_asked_gives_empty_typed_tables() -> None:
    connection = warehouse({})
    assert evaluate(connection) == {}
    for name in MODELS:
        assert connection.sql(f"select count(*) from {name}").fetchall() == [(0,)]


def test_bootstrap_is_the_percentile_of_poisson_weighted_users() -> None:
    """The same draws by hashlib and scipy, the same quantiles by numpy."""
    tables, searches = random_log(3)
    rows = evaluate(warehouse(tables))
    used = evaluated(searches, "v1")
    users = np.array([s.user_id for s in used])

    def draw(user: str, replicate: int) -> float:
        digest = hashlib.md5(f"{user}-{replicate}".encode()).hexdigest()
        return stats.poisson.ppf(int(digest[:13], 16) / 16**13, 1)

    weights = np.array(
        [[draw(user, replicate) for user in users] for replicate in range(1, REPLICATES + 1)]
    )
    found = {version: sums(used, version) for version in ("v1", "v2")}
    for metric in METRICS:
        replicates = {}
        for version in ("v1", "v2"):
            totals = weights @ found[version][metric]
            replicates[version] = totals[:, 0] / totals[:, 1]
            row = rows["models", version, metric]
            low, high = np.quantile(replicates[version], [0.025, 0.975])
            assert (row["ci_low"], row["ci_high"]) == pytest.approx((low, high), abs=1e-9), metric
        low, high = np.quantile(replicates["v2"] - replicates["v1"], [0.025, 0.975])
        row = rows["models", "v2", metric]
        assert (row["delta_ci_low"], row["delta_ci_high"]) == pytest.approx((low, high), abs=1e-9)


def position_bias_log(n_searches: int) -> tuple[dict[str, list[tuple[Any, ...]]], dict[str, float]]:
    """Clicks of a known position-based model, and the true DCG of both orders.

    The log shows a poor order; v2 ranks by true relevance. Every user searches several times and
    clicks alike, so users are the independent unit and searches are not.
    """
    rng = np.random.default_rng(11)
    n_documents, n_users = 8, n_searches // 4
    relevance = np.linspace(0.3, 0.6, n_documents)  # the log shows the best document last
    theta = 1 / np.arange(1, n_documents + 1)
    zeal = rng.uniform(0.5, 1.5, n_users)
    start = np.datetime64("2026-03-01T00:00:00").item()
    tables: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for number in range(n_searches):
        user = number % n_users
        tables["fct_searches"].append((f"s{number}", f"u{user}", start, False, False, None))
        clicked = rng.random(n_documents) < theta * relevance * zeal[user]
        for k in range(n_documents):
            tables["fct_impressions"].append(
                (f"s{number}", f"d{k}", k + 1, int(clicked[k]), None, "all")
            )
            tables["ranker_scores"].append(("v2", f"s{number}", f"d{k}", float(relevance[k])))
    tables["fct_position_propensities"] = [
        ("all", k + 1, float(theta[k]), True) for k in range(n_documents)
    ]
    end = np.datetime64("2026-03-02T00:00:00").item()
    tables["evaluations"] = [("e", "v2", "logged", start, end, end)]
    discount = 1 / np.log2(1 + np.arange(1, n_documents + 1))
    truth = {
        "logged": float(relevance @ discount * zeal.mean()),
        "v2": float(relevance[::-1] @ discount * zeal.mean()),
    }
    return tables, truth


def test_ips_finds_the_truth_that_naive_metrics_miss() -> None:
    tables, truth = position_bias_log(6000)
    variables = {"bootstrap_replicates": 200, "ips_clip": 20, "min_evaluation_clicks": 50}
    connection = warehouse(tables)
    project = SqlProject(gate_metric="snips_ndcg_at_10", **variables)
    project.build(connection, *MODELS)
    rows = {
        (version, metric): (value, delta, low, high, is_better)
        for version, metric, value, delta, low, high, is_better in connection.sql(
            "select model_version, metric, value, delta, delta_ci_low, delta_ci_high, is_better "
            "from fct_offline_evaluations"
        ).fetchall()
    }
    per_user = connection.sql(
        "select side, sum(value) filter (where sum_name = 'ips_dcg') as y, "
        "sum(value) filter (where sum_name = 'n_searches') as d "
        "from int_evaluation_users__summed group by side, user_id"
    ).fetchnumpy()
    for side, version in (("challenger", "v2"), ("champion", "logged")):
        y, d = (per_user[name][per_user["side"] == side] for name in ("y", "d"))
        ratio = y.sum() / d.sum()
        error = math.sqrt(((y - ratio * d) ** 2).sum()) / d.sum()
        assert rows[version, "ips_dcg_at_10"][0] == pytest.approx(ratio, abs=1e-9)
        assert abs(ratio - truth[version]) < 4 * error
    assert rows["v2", "ips_dcg_at_10"][1] > 0 > rows["v2", "dcg_at_10"][1]
    assert rows["v2", "ndcg_at_10"][3] < 0, "the naive metric should be sure, and wrong"
    assert rows["v2", "snips_ndcg_at_10"][2] > 0
    assert rows["v2", "snips_ndcg_at_10"][4]


def test_bootstrap_width_is_the_delta_method_error() -> None:
    """The width of a percentile interval from B draws has a known error of its own.

    A sample quantile at p has variance p (1 - p) / (B f^2), f the density there; half the
    distance of two independent ones, on the scale of 1.96 standard errors.
    """
    tables, _ = position_bias_log(6000)
    connection = warehouse(tables)
    project = SqlProject(bootstrap_replicates=200, ips_clip=20)
    project.build(connection, *MODELS)
    low, high = connection.sql(
        "select delta_ci_low, delta_ci_high from fct_offline_evaluations "
        "where metric = 'snips_ndcg_at_10' and not is_champion"
    ).fetchall()[0]
    data = connection.sql(
        "select sum(if(side = 'challenger', value, -value)) "
        "filter (where sum_name = 'ips_dcg') as y, "
        "sum(value) filter (where sum_name = 'ips_ideal_dcg' and side = 'champion') as d "
        "from int_evaluation_users__summed group by evaluation_id, user_id"
    ).fetchnumpy()
    y, d = data["y"], data["d"]
    ratio = y.sum() / d.sum()
    error = math.sqrt(((y - ratio * d) ** 2).sum()) / d.sum()
    density = stats.norm.pdf(stats.norm.ppf(0.025))
    noise = math.sqrt(0.025 * 0.975 / 200) / density / math.sqrt(2) / 1.96
    assert (high - low) / 2 / (1.96 * error) == pytest.approx(1, abs=4 * noise)
    assert (high + low) / 2 == pytest.approx(ratio, abs=error)


def test_the_order_of_the_rows_changes_nothing() -> None:
    tables, _ = random_log(4)
    shuffled = {
        name: [rows[i] for i in np.random.default_rng(5).permutation(len(rows))]
        for name, rows in tables.items()
    }
    columns = ("value", "ci_low", "ci_high", "delta", "delta_ci_low", "delta_ci_high")

    def digits(found: dict[tuple[str, ...], Any]) -> dict[Any, float | None]:
        return {(*key, c): row[c] for key, row in found.items() for c in columns}

    first, second = digits(evaluate(warehouse(tables))), digits(evaluate(warehouse(shuffled)))
    assert first.keys() == second.keys()
    for key, number in first.items():
        assert number == (None if number is None else pytest.approx(second[key], abs=1e-12)), key


def test_few_users_never_pass_the_gate() -> None:
    tables, _ = position_bias_log(6000)
    tables["fct_searches"] = [
        (search_id, f"u{int(user_id[1:]) % 29}", *rest)
        for search_id, user_id, *rest in tables["fct_searches"]
    ]
    row = evaluate(warehouse(tables), ips_clip=20)["e", "v2", "snips_ndcg_at_10"]
    assert (row["n_users"], row["delta_ci_low"] > 0, row["is_better"]) == (29, True, False)


def test_poisson_weight_is_the_quantile_function() -> None:
    project = SqlProject()
    fractions = (np.arange(200_000) + 0.5) / 200_000
    connection = duckdb.connect()
    connection.register("grid", pa.table({"i": np.arange(200_000), "u": fractions}))
    sql = f"select {project.macro('poisson_weight', 'u')} as weight from grid order by i"
    weights = connection.sql(sql).fetchnumpy()["weight"]
    assert (weights == stats.poisson.ppf(fractions, 1)).all()


def test_rank_discount_stops_at_its_depth() -> None:
    project = SqlProject()
    sql = f"select {project.macro('rank_discount', 'k')} from range(1, 13) as r (k) order by k"
    found = [value for (value,) in duckdb.sql(sql).fetchall()]
    assert found == pytest.approx([1 / math.log2(1 + k) for k in range(1, 11)] + [0, 0])
