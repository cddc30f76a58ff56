"""Logs whose examination by rank is known, and what the project makes of them."""

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from sql_project import SqlProject

MODELS = (
    "int_propensity_regimes",
    "int_rank_components",
    "int_propensity_replicates",
    "int_propensity_curves",
    "int_propensity_power_law_fits",
    "int_propensity_alphas",
    "int_propensity_auto",
    "int_propensity_choices",
    "fct_position_propensities",
    "fct_propensity_diagnostics",
)
GROUPS = 20
# Examination and noise of the click model that studies of unbiased ranking share (ULTRA).
EXAMINATION = np.array([0.68, 0.61, 0.48, 0.34, 0.28, 0.20, 0.11, 0.10, 0.08, 0.06])
NOISE = 0.1


def load(connection: duckdb.DuckDBPyConnection, log: dict[str, np.ndarray]) -> None:
    """Make int_position_cells and int_propensity_ranks of a log."""
    one_regime = np.full(len(log["rank"]), "m")
    unknown = pa.nulls(len(one_regime), pa.float64())
    connection.register("log", pa.table({"serving_regime": one_regime, "chance": unknown} | log))
    connection.execute(
        """
        create or replace table int_position_cells as
        select
            cast(context as varchar) as context,
            cast(jackknife_group as integer) as jackknife_group,
            serving_regime,
            cast(query as varchar) as query,
            cast(doc_id as varchar) as doc_id,
            cast(rank as integer) as rank,
            is_randomised,
            count(*) as n_impressions,
            cast(sum(clicked) as bigint) as n_clicks,
            cast(sum(1 / chance) as double) as weighted_impressions,
            cast(sum(clicked / chance) as double) as weighted_clicks
        from log
        group by all
        """
    )
    connection.execute(
        """
        create or replace table int_propensity_ranks as
        select
            context,
            rank,
            cast(sum(n_impressions) as bigint) as n_impressions,
            cast(sum(n_clicks) as bigint) as n_clicks
        from int_position_cells
        group by all
        """
    )


def estimate(
    connection: duckdb.DuckDBPyConnection, log: dict[str, np.ndarray], **variables: Any
) -> None:
    """Build every propensity model from a log."""
    load(connection, log)
    SqlProject(
        **({"min_randomised_clicks": 1, "min_ipf_clicks": 1, "ipf_steps": 1000} | variables)
    ).build(connection, *MODELS)


def standard_log(seed: int, world: str, *, searches: int = 10_000) -> dict[str, np.ndarray]:
    """1e5 impressions of ten ranks in a world that makes ranks comparable in one way or another.

    Args:
        seed: of the world and of its users.
        world: `mixed`: each search ranked with noise of its own; `shuffled`: 5 % of searches in
            random order; `similar`: two rankers by turns; `devices`: `mixed`, for desktop
            (context 0) and mobile (context 1), which reads less far down; `in_turn`: a ranker a
            day, named after it.
        searches: how many.

    Returns:
        Column -> one value per impression.
    """
    rng = np.random.default_rng(seed)
    n_queries, n_documents, n_ranks, n_users = 200, 20, 10, 800
    popularity = np.arange(1, n_queries + 1) ** -0.8
    query = rng.choice(n_queries, searches, p=popularity / popularity.sum())
    user = rng.integers(0, n_users, searches)
    grade = rng.choice(5, (n_queries, n_documents), p=[0.45, 0.25, 0.15, 0.1, 0.05])
    attraction = NOISE + (1 - NOISE) * (2.0**grade - 1) / 15
    day = np.arange(searches) * 14 // searches
    theta = np.tile(EXAMINATION, (searches, 1))
    device = np.zeros(searches, dtype=int)
    shuffled = np.zeros(searches, dtype=bool)
    score = grade + rng.normal(size=grade.shape)
    if world in ("mixed", "devices"):
        scores = score[query] + 1.5 * rng.normal(size=(searches, n_documents))
        if world == "devices":
            device = (user % 2).astype(int)
            theta = np.where(device[:, None] == 1, theta**1.3 * theta[:, :1] ** -0.3, theta)
    elif world == "shuffled":
        shuffled = rng.uniform(size=searches) < 0.05
        scores = np.where(shuffled[:, None], 0, score[query])
        scores = scores + shuffled[:, None] * rng.normal(size=scores.shape)
    elif world == "similar":
        other = score + 0.5 * rng.normal(size=score.shape)
        scores = np.where(rng.integers(0, 2, searches)[:, None] == 1, score[query], other[query])
    else:
        a_day = grade + rng.normal(size=(14, *grade.shape))
        scores = a_day[day, query]
    order = np.argsort(-scores, axis=1)[:, :n_ranks]
    if world == "shuffled":
        # Chance moves the ten that are shown, not others onto the page.
        shown = np.argsort(-score, axis=1)[:, :n_ranks][query]
        order = np.where(shuffled[:, None], rng.permuted(shown, axis=1), shown)
    chance = theta * np.take_along_axis(attraction[query], order, axis=1)
    names = (
        np.char.add("ranker-", day.astype(str)) if world == "in_turn" else np.full(searches, "m")
    )
    return {
        "context": np.repeat(device, n_ranks),
        "jackknife_group": np.repeat(user % GROUPS + 1, n_ranks),
        "serving_regime": np.repeat(names, n_ranks),
        "query": np.repeat(query, n_ranks),
        "doc_id": order.ravel(),
        "rank": np.tile(np.arange(1, n_ranks + 1), searches),
        "clicked": (rng.uniform(size=chance.shape) < chance).ravel().astype(np.int64),
        "is_randomised": np.repeat(shuffled, n_ranks),
    }


def active_curve(connection: duckdb.DuckDBPyConnection, context: str = "0") -> Any:
    """rank, propensity, ci_low, ci_high, source of the curve in use."""
    return connection.execute(
        "select rank, propensity, ci_low, ci_high, source from fct_position_propensities "
        "where is_active and context = ? order by rank",
        [context],
    ).fetchall()


def log_examination(context: str = "0") -> np.ndarray:
    """What the log of that curve is in truth, by rank; context 1 is mobile in `devices`."""
    return np.log(EXAMINATION / EXAMINATION[0]) * (1.3 if context == "1" else 1)
