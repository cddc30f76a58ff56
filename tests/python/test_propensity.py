"""Examination by rank: against other implementations, against known curves, and its intervals."""

import hashlib
import itertools
from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pytest
from scipy import optimize, stats

from propensity_worlds import (
    GROUPS,
    active_curve,
    estimate,
    log_examination,
    standard_log,
)
from sql_project import SqlProject


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    connection.execute("set threads = 2")
    yield connection
    connection.close()


def shuffled_or_ranked_log(
    rng: np.random.Generator,
    *,
    contexts: int = 1,
    users: int = 100,
    searches: int = 20,
    queries: int = 5,
    documents: int = 6,
    ranks: int = 5,
    alphas: tuple[float, ...] = (0.8,),
    confounding: float = 0.0,
) -> dict[str, np.ndarray]:
    """Clicks of a position-based model with users of unlike patience.

    Each user draws one of `alphas`; the examination of the population at rank k is the mean of
    k ** -alpha. Ranks are by chance, or by relevance plus noise where `confounding` is above 0.

    Returns:
        Column -> one value per impression.
    """
    n = contexts * users * searches
    context = np.repeat(np.arange(contexts), users * searches)
    user = np.repeat(np.arange(contexts * users), searches)
    alpha = rng.choice(alphas, contexts * users)[user]
    query = rng.integers(0, queries, n)
    relevance = rng.uniform(0.15, 0.75, (queries, documents))[query]
    order = np.argsort(-(confounding * relevance + rng.uniform(size=relevance.shape)), axis=1)
    order = order[:, :ranks]
    rank = np.tile(np.arange(1, ranks + 1), (n, 1))
    click_rate = np.take_along_axis(relevance, order, axis=1) * rank ** -alpha[:, None]
    clicked = rng.uniform(size=rank.shape) < click_rate
    return {
        "context": np.repeat(context, ranks),
        "jackknife_group": np.repeat(user % GROUPS + 1, ranks),
        "query": np.repeat(query, ranks),
        "doc_id": order.ravel(),
        "rank": rank.ravel(),
        "clicked": clicked.ravel().astype(np.int64),
        "is_randomised": np.full(n * ranks, confounding == 0),
    }


def curve(
    connection: duckdb.DuckDBPyConnection, estimator: str, columns: str = "propensity"
) -> np.ndarray:
    """Columns of fct_position_propensities by rank, of the one context there is."""
    rows = connection.execute(
        f"select {columns} from fct_position_propensities where estimator = ? order by rank",
        [estimator],
    ).fetchall()
    return np.array(rows, dtype=float).squeeze(axis=1) if "," not in columns else np.array(rows)


def click_rates(log: dict[str, np.ndarray], keep: np.ndarray) -> np.ndarray:
    """Click rate by rank relative to rank 1."""
    shown = np.bincount(log["rank"][keep])[1:]
    clicked = np.bincount(log["rank"][keep], weights=log["clicked"][keep])[1:]
    return clicked / shown / (clicked[0] / shown[0])


def maximum_likelihood(log: dict[str, np.ndarray], keep: np.ndarray) -> np.ndarray:
    """The Poisson position-based model by a general optimiser, on every document there is."""
    ranks = log["rank"].max()
    item = log["query"][keep] * 1000 + log["doc_id"][keep]
    _, item = np.unique(item, return_inverse=True)
    shown = np.zeros((item.max() + 1, ranks))
    clicked = np.zeros_like(shown)
    np.add.at(shown, (item, log["rank"][keep] - 1), 1)
    np.add.at(clicked, (item, log["rank"][keep] - 1), log["clicked"][keep])

    def loss(tail: np.ndarray) -> tuple[float, np.ndarray]:
        x = np.concatenate(([0.0], tail))
        exposure = shown * np.exp(x)
        total = exposure.sum(axis=1)
        per_item = clicked.sum(axis=1)
        value = -(clicked @ x).sum() + per_item @ np.log(total)
        gradient = -clicked.sum(axis=0) + (per_item / total) @ exposure
        return value, gradient[1:]

    start = np.zeros(ranks - 1)
    found = optimize.minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-7})
    return np.exp(np.concatenate(([0.0], found.x)))


def jackknife_error(log: dict[str, np.ndarray], estimator: Any) -> np.ndarray:
    """Standard error of log propensity, by leaving out one group after the other."""
    logs = np.array(
        [np.log(estimator(log, log["jackknife_group"] != g)) for g in range(1, GROUPS + 1)]
    )
    return np.sqrt((GROUPS - 1) / GROUPS * ((logs - logs.mean(axis=0)) ** 2).sum(axis=0))


def test_randomised_is_the_ratio_of_click_rates(connection: duckdb.DuckDBPyConnection) -> None:
    log = shuffled_or_ranked_log(np.random.default_rng(1))
    estimate(connection, log)
    everything = np.full(len(log["rank"]), True)
    np.testing.assert_allclose(
        curve(connection, "randomised"), click_rates(log, everything), rtol=0, atol=1e-12
    )
    np.testing.assert_allclose(
        curve(connection, "randomised", "std_error_log"),
        jackknife_error(log, click_rates),
        rtol=1e-9,
    )


def test_ipf_is_the_maximum_likelihood_fit(connection: duckdb.DuckDBPyConnection) -> None:
    """The optimiser sees every document; the SQL leaves out those that cannot matter."""
    log = shuffled_or_ranked_log(np.random.default_rng(2), confounding=2.0, documents=12)
    estimate(connection, log)
    everything = np.full(len(log["rank"]), True)
    np.testing.assert_allclose(
        curve(connection, "ipf"), maximum_likelihood(log, everything), rtol=1e-6
    )
    np.testing.assert_allclose(
        curve(connection, "ipf", "std_error_log"),
        jackknife_error(log, maximum_likelihood),
        rtol=1e-3,
        atol=1e-9,
    )


def power_law_alpha(log: dict[str, np.ndarray], keep: np.ndarray) -> float:
    """The decay at which clicks of a document fall on its ranks most likely, by golden section."""
    item, doc_of_click = np.unique(log["query"] * 1000 + log["doc_id"], return_inverse=True)
    shown = np.zeros((len(item), log["rank"].max()))
    clicked = np.zeros_like(shown)
    np.add.at(shown, (doc_of_click[keep], log["rank"][keep] - 1), 1)
    np.add.at(clicked, (doc_of_click[keep], log["rank"][keep] - 1), log["clicked"][keep])
    some = clicked.sum(axis=1) > 0
    shown, clicked = shown[some], clicked[some]
    log_rank = np.log(np.arange(1, shown.shape[1] + 1))

    def slope(alpha: float) -> float:
        weight = shown * np.exp(-alpha * log_rank)
        mean = (weight @ log_rank) / weight.sum(axis=1)
        return float(clicked.sum(axis=1) @ mean - (clicked @ log_rank).sum())

    # The likelihood is concave: its slope falls, and the top is where it is nothing.
    return float(optimize.bisect(slope, -4.0, 4.0, xtol=1e-12))


def power_law_curve(log: dict[str, np.ndarray], keep: np.ndarray) -> np.ndarray:
    """The curve of that decay."""
    return np.arange(1, log["rank"].max() + 1) ** -power_law_alpha(log, keep)


def test_fitted_power_law_is_the_maximum_likelihood_fit(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Two regimes: a document is another one in each, as in the reference (query 0-4 and 50-54)."""
    log = shuffled_or_ranked_log(np.random.default_rng(21), confounding=2.0, documents=12)
    second = np.arange(len(log["rank"])) % 2 == 1
    log["query"] = log["query"] + 50 * second
    everything = np.full(len(log["rank"]), True)
    regimes = np.where(second, "m,n", "m")
    estimate(connection, log | {"query": log["query"] % 50, "serving_regime": regimes})
    alpha = power_law_alpha(log, everything)
    found, error = connection.execute(
        "select alpha, alpha_std_error from fct_propensity_diagnostics "
        "where estimator = 'fitted_power_law'"
    ).fetchall()[0]
    assert found == pytest.approx(alpha, abs=1e-6)
    np.testing.assert_allclose(
        curve(connection, "fitted_power_law"), power_law_curve(log, everything), rtol=1e-6
    )
    errors = jackknife_error(log, power_law_curve)
    np.testing.assert_allclose(
        curve(connection, "fitted_power_law", "std_error_log"), errors, rtol=1e-3, atol=1e-12
    )
    assert error == pytest.approx(errors[1] / np.log(2), rel=1e-3)
    assert curve(connection, "fitted_power_law", "cast(is_identified as integer)").all()


@pytest.mark.parametrize("unknowns", [1, 4, 30])
def test_systems_are_solved(connection: duckdb.DuckDBPyConnection, unknowns: int) -> None:
    """Information matrices: symmetric, and blind to a move of all unknowns together."""
    rng = np.random.default_rng(unknowns)
    rows, wanted = [], {}
    for replicate in range(3):
        weights = rng.uniform(0, 50, (unknowns, unknowns)) * (rng.uniform(size=unknowns) < 0.5)
        weights = np.triu(weights, 1) + np.diag(np.full(unknowns - 1, 0.5), 1)
        matrix = np.diag((weights + weights.T).sum(axis=0)) - weights - weights.T
        target = matrix @ rng.normal(size=unknowns)
        least = np.linalg.pinv(matrix) @ target
        wanted[replicate] = least - least[0]
        for rank in range(1, unknowns + 1):
            rows.append(("all", replicate, rank, 0, target[rank - 1]))
            rows += [
                ("all", replicate, rank, other, matrix[rank - 1, other - 1])
                for other in range(1, unknowns + 1)
            ]
    connection.execute(
        "create or replace table systems "
        "(context varchar, replicate int, rank int, other_rank int, term double)"
    )
    connection.executemany("insert into systems values (?, ?, ?, ?, ?)", rows)
    query = SqlProject().macro("solve_systems", "systems")
    for replicate, solution in wanted.items():
        found = connection.execute(
            f"select solution from ({query}) where replicate = ? order by rank", [replicate]
        ).fetchnumpy()["solution"]
        np.testing.assert_allclose(found - found[0], solution, atol=1e-5)


def test_errors_where_most_documents_are_seen_by_a_few(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Whoever leaves out a group of users here leaves out whole documents."""
    log = shuffled_or_ranked_log(
        np.random.default_rng(23), confounding=1.0, documents=12, queries=1500
    )
    document = log["query"] * 1000 + log["doc_id"]
    pairs = np.unique(np.stack([document, log["jackknife_group"]]), axis=1)[0]
    assert (np.bincount(pairs)[np.unique(document)] == 1).mean() > 0.3
    estimate(connection, log)
    for estimator, reference in (
        ("ipf", maximum_likelihood),
        ("fitted_power_law", power_law_curve),
    ):
        np.testing.assert_allclose(
            curve(connection, estimator, "std_error_log"),
            jackknife_error(log, reference),
            rtol=0.01,  # errors are large here, and what one step leaves is their square
            atol=1e-9,
            err_msg=estimator,
        )


@pytest.mark.parametrize(
    "truth",
    [
        pytest.param(0.5, marks=pytest.mark.slow),
        1.0,
        pytest.param(1.5, marks=pytest.mark.slow),
    ],
)
def test_fitted_power_law_recovers_the_decay_from_thin_queries(
    connection: duckdb.DuckDBPyConnection, truth: float
) -> None:
    """Queries as rare as they are: 12,000 searches for some 9,000 of them, no rank to 100 clicks
    where the fixed point could compare it."""
    rng = np.random.default_rng(22)
    n, documents, ranks = 12_000, 12, 10
    query = np.minimum(rng.zipf(1.25, n), 10**7)
    query = np.unique(query, return_inverse=True)[1]
    relevance = rng.uniform(0.02, 0.5, (query.max() + 1, documents))[query]
    order = np.argsort(-(relevance + 0.2 * rng.normal(size=relevance.shape)), axis=1)[:, :ranks]
    rank = np.tile(np.arange(1, ranks + 1), (n, 1))
    chance = np.take_along_axis(relevance, order, axis=1) * rank**-truth
    log = {
        "context": np.zeros(rank.size, dtype=int),
        "jackknife_group": np.repeat(rng.integers(1, GROUPS + 1, n), ranks),
        "query": np.repeat(query, ranks),
        "doc_id": order.ravel(),
        "rank": rank.ravel(),
        "clicked": (rng.uniform(size=rank.shape) < chance).ravel().astype(np.int64),
        "is_randomised": np.full(rank.size, False),
    }
    estimate(connection, log)
    alpha, error = connection.execute(
        "select alpha, alpha_std_error from fct_propensity_diagnostics "
        "where estimator = 'fitted_power_law'"
    ).fetchall()[0]
    assert abs(alpha - truth) < 2 * error < 0.2, (alpha, error)


def test_a_logged_chance_undoes_a_ranker_that_draws(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Ranks are drawn with chances that favour the relevant; by one over them all count alike.

    Of three documents the pages are the six orders, each drawn with a known chance; a document's
    chance of a rank is the sum over the orders that put it there.
    """
    rng = np.random.default_rng(31)
    n, truth = 60_000, np.array([1.0, 0.6, 0.3])
    relevance = np.array([0.9, 0.5, 0.1])
    orders = np.array(list(itertools.permutations(range(3))))
    likely = np.array([0.4, 0.2, 0.16, 0.1, 0.08, 0.06])
    drawn = orders[rng.choice(6, n, p=likely)]
    chance = np.array([[likely[orders[:, k] == d].sum() for k in range(3)] for d in range(3)])
    ranks = np.tile(np.arange(3), (n, 1))
    log = {
        "context": np.zeros(3 * n, dtype=int),
        "jackknife_group": np.repeat(rng.integers(1, GROUPS + 1, n), 3),
        "query": np.zeros(3 * n, dtype=int),
        "doc_id": drawn.ravel(),
        "rank": ranks.ravel() + 1,
        "clicked": (rng.uniform(size=(n, 3)) < truth * relevance[drawn]).ravel().astype(np.int64),
        "is_randomised": np.full(3 * n, True),
    }
    estimate(connection, log | {"chance": chance[drawn, ranks].ravel()})
    found = np.log(curve(connection, "randomised")[1:] / truth[1:])
    errors = curve(connection, "randomised", "std_error_log")[1:]
    assert (np.abs(found) < 3 * errors).all(), (found, errors)
    assert (errors < 0.05).all()
    # Taken for a shuffle the same log blames the ranks for the relevance.
    estimate(connection, log)
    assert (np.log(curve(connection, "randomised")[1:] / truth[1:]) < -0.2).all()


def test_a_decay_that_runs_off_identifies_nothing(connection: duckdb.DuckDBPyConnection) -> None:
    """Every click at the top: the likelihood grows with alpha for ever."""
    log = shuffled_or_ranked_log(np.random.default_rng(23))
    log["clicked"] = log["clicked"] * (log["rank"] == 1)
    estimate(connection, log)
    assert not curve(connection, "fitted_power_law", "cast(is_identified as integer)").any()
    # And without a single click there is nothing to fit at all.
    log["clicked"] = np.zeros_like(log["clicked"])
    estimate(connection, log, propensity_alpha=0.5)
    assert not curve(connection, "fitted_power_law", "cast(is_identified as integer)").any()
    np.testing.assert_allclose(
        curve(connection, "fitted_power_law"), np.arange(1, 6) ** -0.5, rtol=1e-9
    )


def test_ipf_recovers_a_curve_that_click_rates_miss(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    log = shuffled_or_ranked_log(
        np.random.default_rng(3), users=400, searches=100, queries=20, confounding=2.5
    )
    estimate(connection, log)
    truth = -0.8 * np.log(np.arange(1, 6))
    errors = np.abs(np.log(curve(connection, "ipf")) - truth)[1:]
    bounds = 4 * curve(connection, "ipf", "std_error_log")[1:]
    naive = np.abs(np.log(click_rates(log, np.full(len(log["rank"]), True))) - truth)[1:]
    assert (errors < bounds).all(), (errors, bounds)
    assert (naive > 5 * errors.max()).all(), (naive, errors)
    alpha, alpha_error = connection.execute(
        "select alpha, alpha_std_error from fct_propensity_diagnostics where estimator = 'ipf'"
    ).fetchall()[0]
    assert abs(alpha - 0.8) < 4 * alpha_error < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["randomised", "ipf"])
def test_intervals_cover_as_often_as_they_say(
    connection: duckdb.DuckDBPyConnection, estimator: str
) -> None:
    """Two hundred logs in one build, as contexts. Patient and impatient users make clicks of one
    user alike: an interval that counts them as independent covers far too rarely."""
    contexts = 200
    alphas = (0.1, 1.6)
    log = shuffled_or_ranked_log(
        np.random.default_rng(4),
        contexts=contexts,
        users=60,
        searches=30,
        alphas=alphas,
        confounding=0.0 if estimator == "randomised" else 1.0,
    )
    estimate(connection, log)
    ranks = np.arange(2, 6)
    truth = np.mean([ranks**-alpha for alpha in alphas], axis=0)
    rows = connection.execute(
        """
        select rank, ci_low, ci_high, propensity, n_clicks
        from fct_position_propensities
        where estimator = ? and rank > 1
        order by context, rank
        """,
        [estimator],
    ).fetchnumpy()
    low, high, propensity, clicks = (
        np.ma.filled(rows[name].astype(float), np.nan).reshape(contexts, 4)
        for name in ("ci_low", "ci_high", "propensity", "n_clicks")
    )
    assert not np.isnan(low).any()
    covered = (low <= truth) & (truth <= high)
    # Standard error of one rank's coverage over 200 logs: 0.0154.
    assert (np.abs(covered.mean(axis=0) - 0.95) < 3.5 * 0.0154).all(), covered.mean(axis=0)
    independent = np.abs(np.log(propensity) - np.log(truth)) < 1.96 * np.sqrt(1 / clicks)
    assert independent.mean() < 0.9 * covered.mean(), independent.mean()


def test_contexts_have_curves_of_their_own(connection: duckdb.DuckDBPyConnection) -> None:
    rng = np.random.default_rng(5)
    steep = shuffled_or_ranked_log(rng, users=200, searches=60, alphas=(1.2,))
    flat = shuffled_or_ranked_log(rng, users=200, searches=60, alphas=(0.3,))
    flat["context"] = flat["context"] + 1
    estimate(connection, {name: np.concatenate((steep[name], flat[name])) for name in steep})
    rows = connection.execute(
        """
        select context, alpha, alpha_std_error
        from fct_propensity_diagnostics
        where estimator = 'randomised'
        order by context
        """
    ).fetchall()
    for (_, alpha, error), truth in zip(rows, (1.2, 0.3), strict=True):
        assert abs(alpha - truth) < 4 * error < 0.2


def test_ranks_without_a_tie_to_the_first_are_not_identified(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Documents 0 and 1 live at ranks 1 and 2, the others at 3 and 4: no ratio across is known."""
    rng = np.random.default_rng(6)
    n = 4000
    flip = rng.integers(0, 2, n)
    documents = np.stack((flip, 1 - flip, 2 + flip, 3 - flip), axis=1)
    log = {
        "context": np.zeros(n * 4, dtype=int),
        "jackknife_group": np.repeat(np.arange(n) % GROUPS + 1, 4),
        "query": np.zeros(n * 4, dtype=int),
        "doc_id": documents.ravel(),
        "rank": np.tile(np.arange(1, 5), n),
        "clicked": rng.integers(0, 2, n * 4),
        "is_randomised": np.full(n * 4, False),
    }
    estimate(connection, log, propensity_alpha=0.6)
    identified = curve(connection, "ipf", "cast(is_identified as integer)")
    assert identified.tolist() == [1, 1, 0, 0]
    components, alpha, choice = connection.execute(
        "select n_connected_components, alpha, choice_reason from fct_propensity_diagnostics "
        "where estimator = 'auto'"
    ).fetchall()[0]
    assert components == 2
    # Clicks are by chance here, so the fitted decay, to which 0.6 is drawn, is none.
    assert abs(alpha) < 0.15
    assert choice.startswith(
        "auto: ranks 1-2: ipf; ranks 3-4: 1 / rank ^ alpha. Alpha is fitted, "
    ), choice
    active = connection.execute(
        "select estimator, source, rank, propensity from fct_position_propensities "
        "where is_active order by rank"
    ).fetchall()
    assert [row[:2] for row in active] == [("auto", "ipf")] * 2 + [("auto", "fitted_power_law")] * 2
    second = active[1][3]
    assert [row[3] for row in active[2:]] == pytest.approx(
        [second * (rank / 2) ** -alpha for rank in (3, 4)], abs=1e-9
    )


def test_a_fit_cut_short_identifies_nothing(connection: duckdb.DuckDBPyConnection) -> None:
    log = shuffled_or_ranked_log(np.random.default_rng(7), confounding=2.0)
    estimate(connection, log, ipf_steps=2)
    assert not curve(connection, "ipf", "cast(is_identified as integer)").any()
    estimate(connection, log)
    assert curve(connection, "ipf", "cast(is_identified as integer)").all()


def test_one_user_gives_no_interval_and_decides_nothing(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    log = shuffled_or_ranked_log(np.random.default_rng(8), users=1, searches=3000)
    estimate(connection, log)
    assert not curve(connection, "randomised", "cast(is_identified as integer)").any()


def test_diagnostics_are_those_of_the_clicks(connection: duckdb.DuckDBPyConnection) -> None:
    log = shuffled_or_ranked_log(np.random.default_rng(9), users=20)
    estimate(connection, log, propensity_alpha=1.0, ips_clip=2.5)
    weights = np.minimum(log["rank"][log["clicked"] == 1], 2.5)
    found = connection.execute(
        """
        select n_clicks, effective_sample_size, max_weight_share, clipped_share
        from fct_propensity_diagnostics
        where estimator = 'power_law'
        """
    ).fetchall()[0]
    assert found == pytest.approx(
        (
            len(weights),
            weights.sum() ** 2 / (weights**2).sum(),
            weights.max() / weights.sum(),
            (log["rank"][log["clicked"] == 1] > 2.5).mean(),
        )
    )


@pytest.mark.parametrize("p", [1e-13, 1e-4, 0.025, 0.075, 0.3, 0.5, 0.9, 0.95, 0.975, 0.9995])
def test_normal_quantile(connection: duckdb.DuckDBPyConnection, p: float) -> None:
    sql = SqlProject().macro("standard_normal_quantile", p)
    (value,) = connection.execute(f"select {sql}").fetchall()[0]
    assert value == pytest.approx(stats.norm.ppf(p), abs=1e-12)


@pytest.mark.parametrize(("df", "tolerance"), [(3, 4e-3), (5, 3e-4), (9, 2e-5), (19, 1e-6)])
def test_t_quantile(connection: duckdb.DuckDBPyConnection, df: int, tolerance: float) -> None:
    sql = SqlProject().macro("student_t_quantile", repr(float(stats.norm.ppf(0.975))), df)
    (value,) = connection.execute(f"select {sql}").fetchall()[0]
    assert value == pytest.approx(stats.t.ppf(0.975, df), abs=tolerance)


def test_users_are_grouped_by_md5(connection: duckdb.DuckDBPyConnection) -> None:
    sql = SqlProject().macro("jackknife_group", "user_id", 20)
    for user in ("u1", "ü", ""):
        (group,) = connection.execute(
            f"select {sql} from (select ? as user_id) as users", [user]
        ).fetchall()[0]
        digest = hashlib.md5(f"jackknife-{user}".encode()).hexdigest()
        assert group == int(digest[:13], 16) * 20 // 16**13 + 1


@pytest.mark.slow
def test_a_ranker_that_learned_from_the_clicks_does_not_bend_the_curve() -> None:
    """First half in random order, second half ordered by the clicks of the first.

    Documents that were lucky stand higher afterwards and fall back. Taken as one, the halves make
    deep ranks look better than they are; taken by regime, the curve holds.
    """
    rng = np.random.default_rng(11)
    n_queries, n_docs, n_searches, alpha = 400, 10, 30, 0.8
    theta = np.arange(1, n_docs + 1) ** -alpha
    gamma = rng.uniform(0.05, 0.6, (n_queries, n_docs))
    parts = []
    lucky = np.zeros((n_queries, n_docs))
    for regime in ("first", "second"):
        query = np.repeat(np.arange(n_queries), n_searches)
        if regime == "first":
            order = rng.permuted(np.tile(np.arange(n_docs), (len(query), 1)), axis=1)
        else:
            order = np.argsort(-lucky, axis=1)[query]
            few = rng.random(len(query)) < 0.2
            order[few] = rng.permuted(order[few], axis=1)
        clicked = rng.random(order.shape) < theta * gamma[query[:, None], order]
        if regime == "first":
            np.add.at(lucky, (np.repeat(query, n_docs), order.ravel()), clicked.ravel())
        parts.append(
            {
                "context": np.full(order.size, "all"),
                "jackknife_group": np.repeat(rng.integers(1, 21, len(query)), n_docs),
                "query": np.repeat(query, n_docs).astype(str),
                "doc_id": order.ravel().astype(str),
                "rank": np.tile(np.arange(1, n_docs + 1), len(query)),
                "clicked": clicked.ravel().astype(np.int64),
                "is_randomised": np.zeros(order.size, dtype=bool),
                "serving_regime": np.full(order.size, regime),
            }
        )
    log = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def log_errors(rows: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        connection = duckdb.connect()
        estimate(connection, rows)
        found = connection.execute(
            "select propensity, std_error_log from fct_position_propensities "
            "where estimator = 'ipf' and rank > 1 order by rank"
        ).fetchall()
        values, errors = np.array(found, dtype=float).T
        return np.log(values) - np.log(theta[1:]), errors

    mixed, mixed_errors = log_errors(log | {"serving_regime": np.full(len(log["rank"]), "m")})
    fair, fair_errors = log_errors(log)
    # Ten correlated z values: 3 standard errors on their mean is far beyond chance.
    assert (mixed / mixed_errors).mean() > 3
    assert abs((fair / fair_errors).mean()) < 2
    assert np.abs(fair / fair_errors).max() < 4


def auto_rows(
    connection: duckdb.DuckDBPyConnection,
    *,
    curves: list[tuple[str, str, int, float, bool]],
    replicates: list[tuple[str, str, int, int, float]],
    alphas: list[tuple[str, float | None, float | None, float, bool]],
) -> dict[tuple[str, int], dict[str, Any]]:
    """int_propensity_auto of hand-made tables: (context, rank) -> row."""
    connection.execute(
        "create table int_propensity_curves (estimator varchar, context varchar, rank integer, "
        "std_error_log double, is_identified boolean, n_impressions bigint, n_clicks bigint)"
    )
    connection.executemany(
        "insert into int_propensity_curves values (?, ?, ?, ?, ?, 50, 9)", curves
    )
    connection.execute(
        "create table int_propensity_replicates (estimator varchar, context varchar, "
        "replicate integer, rank integer, propensity double)"
    )
    connection.executemany(
        "insert into int_propensity_replicates values (?, ?, ?, ?, ?)", replicates
    )
    connection.execute(
        "create table int_propensity_alphas (context varchar, fitted_alpha double, "
        "whole_alpha double, alpha double, is_part boolean)"
    )
    connection.executemany("insert into int_propensity_alphas values (?, ?, ?, ?, ?)", alphas)
    SqlProject().build(connection, "int_propensity_auto")
    cursor = connection.execute("select * from int_propensity_auto")
    names = [column[0] for column in cursor.description]
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return {(row["context"], row["rank"]): row for row in rows}


def test_every_rank_takes_the_best_that_is_known(connection: duckdb.DuckDBPyConnection) -> None:
    """Rank 2: 0.4 and 0.1 with one variance, so sqrt(0.4 * 0.1) = 0.2; without group 1
    sqrt(0.8 * 0.1), without group 2, which saw nothing by chance, sqrt(0.2 * 0.1): half of ln 2 to
    either side. Rank 3 is 0.25 by chance, with three times the error of the fixed point's 0.5:
    0.25^0.1 * 0.5^0.9.

    Between the 0.2 of rank 2 and the 0.2 of rank 8 alpha 1 alone would give 1/2 and 1/8, so they
    stand 0.4 and 1.6 times above it, and rank 4, half way, sqrt(0.4 * 1.6) = 0.8 times 1/4. Rank 16
    keeps the 1.6.
    """
    ranks = (1, 2, 4, 8, 16)
    rows = auto_rows(
        connection,
        curves=[("none", "all", rank, None, False) for rank in ranks]
        + [("none", "far", rank, None, False) for rank in (1, 3)]
        + [
            ("ipf", "all", 1, 0.0, True),
            ("ipf", "all", 2, 0.5, True),
            ("ipf", "all", 8, 0.5, True),
            ("ipf", "all", 16, None, False),
            ("fitted_power_law", "all", 16, 0.1, True),
            ("randomised", "all", 1, 0.0, True),
            ("randomised", "all", 2, 0.5, True),
            ("ipf", "far", 3, 0.1, True),
            ("randomised", "far", 3, 0.3, True),
        ],
        replicates=[("ipf", "all", group, 1, 1.0) for group in (0, 1, 2)]
        + [("randomised", "all", group, 1, 1.0) for group in (0, 1)]
        + [("ipf", "all", group, 2, value) for group, value in enumerate((0.4, 0.8, 0.2))]
        + [("randomised", "all", group, 2, 0.1) for group in (0, 1)]
        + [("ipf", "all", group, 8, 0.2) for group in (0, 1, 2)]
        + [("ipf", "all", 0, 16, 0.9)]
        + [("ipf", "far", group, 3, 0.5) for group in (0, 1, 2)]
        + [("randomised", "far", group, 3, 0.25) for group in (0, 1, 2)],
        alphas=[("all", 1.1, None, 1.0, False), ("far", None, None, 1.0, False)],
    )
    found = [rows["all", rank]["propensity"] for rank in ranks]
    assert found == pytest.approx([1, 0.2, 0.2, 0.2, 0.1])
    assert rows["all", 2]["std_error_log"] == pytest.approx(np.log(2) / 2)
    assert [rows["all", rank]["source"] for rank in ranks] == [
        "randomised+ipf", "randomised+ipf", "fitted_power_law", "ipf", "fitted_power_law",
    ]  # fmt: skip
    assert [rows["all", rank]["is_identified"] for rank in ranks] == [
        True,
        True,
        False,
        True,
        False,
    ]
    assert rows["all", 16]["std_error_log"] is None
    # A first rank that nothing measures is the unit all the same.
    assert rows["far", 1]["propensity"] == 1
    assert rows["far", 1]["source"] == "power_law"
    assert rows["far", 3]["propensity"] == pytest.approx(0.25**0.1 * 0.5**0.9)


def test_a_thin_context_leans_on_all_contexts_together(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Of all together rank 2 is 0.4, so rank 4 (alpha 1) 0.2. Context b, of which nothing is
    known, has that curve; context a, whose alpha is 0.5 higher, has 0.4 / 2^0.5 and 0.2 / 4^0.5."""
    contexts = ("*", "a", "b")
    rows = auto_rows(
        connection,
        curves=[("none", context, rank, None, False) for context in contexts for rank in (1, 2, 4)]
        + [("ipf", "*", 1, 0.0, True), ("ipf", "*", 2, 0.1, True)],
        replicates=[
            ("ipf", "*", group, rank, value)
            for group in (0, 1, 2)
            for rank, value in ((1, 1.0), (2, 0.4))
        ],
        alphas=[
            ("*", 1.0, None, 1.0, False),
            ("a", 1.6, 1.0, 1.5, True),
            ("b", None, 1.0, 1.0, True),
        ],
    )
    found = {
        context: [rows[context, rank]["propensity"] for rank in (1, 2, 4)] for context in contexts
    }
    assert found["*"] == pytest.approx([1, 0.4, 0.2])
    assert found["a"] == pytest.approx([1, 0.4 / 2**0.5, 0.1])
    assert found["b"] == pytest.approx([1, 0.4, 0.2])
    assert rows["a", 4]["source"] == "fitted_power_law"
    assert rows["b", 4]["source"] == "all_contexts"


def test_a_context_is_drawn_to_all_contexts_together(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """All together 1.0 with the error of the prior, 0.5: half way to 0.5, 0.75. Context b has 1.35
    with an error of 0.3, as the prior of contexts: half way to 0.75, 1.05. a says nothing.
    """
    connection.execute(
        """
        create table int_propensity_regimes as
        select * from (values ('a', 3), ('b', 3), ('c', 3)) as regimes (context, n_contexts);
        create table int_propensity_power_law_fits as
        select * from (
            values
                ('fitted_power_law', '*', 1.0::double, 0.5::double),
                ('fitted_power_law', 'b', 1.35, 0.3),
                ('fitted_power_law', 'c', 1.05, 0.4),
                ('ipf', 'a', 9, 0.1)
        ) as fits (estimator, context, alpha, alpha_std_error)
        """
    )
    SqlProject(propensity_alpha=0.5).build(connection, "int_propensity_alphas")
    rows = connection.execute(
        "select context, alpha, alpha_std_error, difference_from_others, difference_std_error "
        "from int_propensity_alphas order by context"
    ).fetchall()
    whole, a, b, _ = rows
    assert whole[:2] == ("*", pytest.approx(0.75))
    assert whole[2] == pytest.approx(0.5 / 2**0.5)
    assert a[1] == pytest.approx(0.75)
    # What all together leave open is left open here too: 0.3^2 and 0.5^2 / 2.
    assert a[2] == pytest.approx((0.09 + 0.125) ** 0.5)
    assert a[3:] == (None, None)
    assert b[1] == pytest.approx(1.05)
    # Only c is another context that was fitted.
    assert b[3:] == (pytest.approx(0.3), pytest.approx(0.5))


def test_contexts_that_differ_are_told_apart(connection: duckdb.DuckDBPyConnection) -> None:
    rng = np.random.default_rng(31)
    logs = [
        shuffled_or_ranked_log(rng, users=200, searches=40, alphas=(alpha,), confounding=1.0)
        for alpha in (0.5, 0.5, 1.2)
    ]
    for number, log in enumerate(logs):
        log["context"] = log["context"] + number
    estimate(connection, {name: np.concatenate([log[name] for log in logs]) for name in logs[0]})
    rows = connection.execute(
        """
        select context, alpha_difference, alpha_difference_std_error, choice_reason
        from fct_propensity_diagnostics
        where is_active
        order by context
        """
    ).fetchall()
    assert len(rows) == 3
    for context, difference, error, reason in rows:
        if context == "2":
            assert abs(difference - 0.7) < 4 * error < 0.5
            assert "It differs from that of the other contexts by +0." in reason
        else:
            assert difference < -2 * error
    # Two that are alike and no third: nothing to tell apart.
    alike = [log for log in logs if log["context"][0] < 2]
    estimate(connection, {name: np.concatenate([log[name] for log in alike]) for name in logs[0]})
    rows = connection.execute(
        "select abs(alpha_difference) < 3 * alpha_difference_std_error "
        "from fct_propensity_diagnostics where is_active"
    ).fetchall()
    assert rows == [(True,)] * 2


@pytest.mark.parametrize(
    ("world", "context", "bound"),
    [
        pytest.param("mixed", "0", 0.08, marks=pytest.mark.slow),
        ("shuffled", "0", 0.18),
        pytest.param("similar", "0", 0.20, marks=pytest.mark.slow),
        pytest.param("devices", "1", 0.12, marks=pytest.mark.slow),
        pytest.param("in_turn", "0", 0.12, marks=pytest.mark.slow),
    ],
)
def test_the_curve_in_use_is_near_the_truth(
    connection: duckdb.DuckDBPyConnection, world: str, context: str, bound: float
) -> None:
    """Mean error of log propensity over ranks 2 to 10, over three logs."""
    truth = log_examination(context)
    errors, covered = [], []
    for seed in range(3):
        estimate(
            connection,
            standard_log(seed, world),
            min_randomised_clicks=100,
            min_ipf_clicks=100,
            ipf_steps=200,
        )
        rows = active_curve(connection, context)[1:]
        errors.append(np.mean([abs(np.log(row[1]) - truth[row[0] - 1]) for row in rows]))
        covered += [
            np.log(row[2]) <= truth[row[0] - 1] <= np.log(row[3])
            for row in rows
            if row[2] is not None
        ]
        (reason,) = connection.execute(
            "select choice_reason from fct_propensity_diagnostics where is_active and context = ?",
            [context],
        ).fetchall()[0]
        assert ("compared across them" in reason) == (world == "in_turn"), reason
    assert np.mean(errors) <= bound, errors
    # Nine ranks of a log share their clicks, so 27 intervals tell of fewer.
    assert np.mean(covered) > 0.8, covered


def test_listed_estimators_say_what_they_know_by_hand(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Randomised click rates: 1/2 at rank 1 and 6/32 at rank 2, 0.375 of it; 0.5 and 0.25 without
    either group. No document stood at two ranks, and chance placed nothing at rank 4.
    """
    connection.execute(
        """
        create table int_propensity_regimes as
        select 'all' as context, 1 as n_contexts, false as is_pooled_over_regimes;
        create table int_propensity_ranks as
        select 'all' as context, rank, n_impressions, n_clicks
        from (values (1, 40, 20), (2, 40, 9), (4, 5, 1)) as ranks (rank, n_impressions, n_clicks);
        create table int_position_cells as
        select
            'all' as context, 'm' as serving_regime, 'q' as query, *,
            null::double as weighted_impressions, null::double as weighted_clicks
        from (
            values
                (1, 'a', 1, true, 16, 8), (1, 'b', 2, true, 16, 2), (2, 'a', 1, true, 16, 8),
                (2, 'b', 2, true, 16, 4), (2, 'c', 4, false, 5, 1)
        ) as cells (jackknife_group, doc_id, rank, is_randomised, n_impressions, n_clicks)
        """
    )
    given = {"propensity_alpha": 1, "min_randomised_clicks": 7, "min_ipf_clicks": 8}
    SqlProject(**given).build(connection, "int_propensity_replicates")
    found = connection.execute(
        """
        select estimator, min_clicks, needs_ties, replicate, rank, propensity
        from int_propensity_replicates
        """
    ).fetchall()
    known = {"none", "power_law", "randomised", "ipf", "fitted_power_law"}
    assert sorted((row for row in found if row[0] in known), key=str) == sorted(
        [
            *(("none", None, False, 0, rank, 1.0) for rank in (1, 2, 4)),
            *(("power_law", None, False, 0, rank, 1 / rank) for rank in (1, 2, 4)),
            *(("randomised", 7, False, replicate, 1, 1.0) for replicate in (0, 1, 2)),
            ("randomised", 7, False, 0, 2, 0.375),
            ("randomised", 7, False, 1, 2, 0.5),
            ("randomised", 7, False, 2, 2, 0.25),
            ("randomised", 7, False, 0, 4, None),
            *(("ipf", 8, True, 0, rank, None) for rank in (1, 2, 4)),
            *(("fitted_power_law", 0, False, 0, rank, None) for rank in (1, 2, 4)),
        ],
        key=str,
    )


def test_sources_of_three_measuring_estimators_are_told_in_order() -> None:
    """By one, or by several together; every set of them has its words, in the order of the list."""
    project = SqlProject()
    project._macros["measuring_estimators"] = lambda: ["a", "b", "c"]
    told = [(source["name"], source["words"]) for source in project.macro("propensity_sources")]
    assert told[:7] == [
        *(("a", "a"), ("a+b", "a and b"), ("a+b+c", "a and b and c"), ("a+c", "a and c")),
        *(("b", "b"), ("b+c", "b and c"), ("c", "c")),
    ]
    assert [name for name, _ in told[7:]] == ["fitted_power_law", "all_contexts", "power_law"]
