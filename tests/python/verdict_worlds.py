"""Worlds whose truth is known, for the verdict on a challenger: five kinds of it.

A query has 25 candidates of relevance uniform in (0, 1). The champion knows the logit of relevance
with noise and shows its ten best; a document at rank k is clicked with a chance of k^-0.8 times
0.05 + 0.85 relevance^4. Users differ in activity. The challenger is of one of five kinds; what it
would really earn is known from the same formula.
"""

import functools
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sql_project import SqlProject

N_QUERIES, N_CANDIDATES, PAGE, N_USERS = 400, 25, 10, 1800
ALPHA = 0.8
KINDS = ("blend", "independent", "noisy_copy", "from_below", "junk")

MODELS = (
    "int_evaluation_impressions__judged",
    "int_evaluation_propensities",
    "int_evaluation_pairs__exposed",
    "int_evaluation_orders__fitted",
    "int_evaluation_pairs__expected",
    "int_evaluation_clicks__estimated",
    "fct_offline_verdicts",
)

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class VerdictWorld:
    """A log of the champion, and both models' scores of every candidate.

    Attributes:
        kind: of challenger, one of KINDS.
        champion: (queries, candidates) scores.
        challenger: (queries, candidates) scores.
        query: (searches,) number of the query.
        user: (searches,) number of the user.
        shown: (searches, page) numbers of the documents, best first.
        clicked: (searches, page).
        truth: relative difference in expected clicks, challenger against champion.
    """

    kind: str
    champion: FloatArray
    challenger: FloatArray
    query: npt.NDArray[np.int64]
    user: npt.NDArray[np.int64]
    shown: npt.NDArray[np.int64]
    clicked: npt.NDArray[np.bool_]
    truth: float


def ranks_of(scores: FloatArray) -> npt.NDArray[np.int64]:
    """Rank of every candidate within its query, from 0."""
    order = np.argsort(-scores, axis=1)
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(scores.shape[1])[None].repeat(len(scores), 0), 1)
    return ranks


def verdict_world(kind: str, seed: int, n_searches: int = 7000) -> VerdictWorld:
    """A world of the kind, the same for the same seed."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    shape = (N_QUERIES, N_CANDIDATES)
    relevance = rng.uniform(size=shape)
    logit = np.log(relevance / (1 - relevance))
    spread = rng.uniform(1, 3.6)
    champion = logit + spread * rng.normal(size=shape)
    rank = ranks_of(champion)
    blend = 0.6 * champion + 0.4 * (logit + 2.5 * rng.normal(size=shape))
    challenger = {
        "blend": lambda: blend,
        "independent": lambda: logit + spread * rng.normal(size=shape),
        "noisy_copy": lambda: champion + rng.normal(size=shape),
        "from_below": lambda: champion + 1000.0 * ((rank >= PAGE) & (relevance > 0.9)),
        "junk": lambda: (
            np.where(rank < PAGE, 1000 + blend, champion)
            + 3000.0 * ((rank >= PAGE) & (rank < PAGE + 3))
        ),
    }[kind]()
    popularity = (np.arange(N_QUERIES) + 1.0) ** -0.8
    popularity /= popularity.sum()
    attraction = 0.05 + 0.85 * relevance**4
    examined = np.arange(1, N_CANDIDATES + 1) ** -ALPHA
    activity = rng.lognormal(size=N_USERS)
    user = rng.choice(N_USERS, n_searches, p=activity / activity.sum())
    query = rng.choice(N_QUERIES, n_searches, p=popularity)
    shown = np.argsort(-champion, axis=1)[:, :PAGE][query]
    chance = examined[:PAGE] * attraction[query[:, None], shown]
    clicked = rng.uniform(size=chance.shape) < chance

    def earned(scores: FloatArray) -> float:
        place = ranks_of(scores)
        seen = np.where(place < PAGE, examined[place], 0.0)
        return float((popularity[:, None] * seen * attraction).sum())

    truth = earned(challenger) / earned(champion) - 1
    return VerdictWorld(kind, champion, challenger, query, user, shown, clicked, truth)


INPUTS = {
    "evaluations": "evaluation_id varchar, model_version varchar, champion_version varchar, "
    "window_start timestamp, window_end timestamp, requested_at timestamp",
    "candidate_scores": "model_version varchar, query varchar, doc_id varchar, score double",
    "fct_searches": "search_id varchar, user_id varchar, searched_at timestamp, is_bot boolean, "
    "is_randomised boolean, variant varchar",
    "fct_impressions": "search_id varchar, query varchar, doc_id varchar, rank integer, "
    "clicked integer, rank_before_swap integer, propensity_context varchar",
    "fct_position_propensities": "context varchar, rank integer, propensity double, "
    "std_error_log double, is_active boolean",
    "fct_propensity_diagnostics": "context varchar, alpha_std_error double, is_active boolean",
    "fct_offline_evaluations": "evaluation_id varchar, metric varchar, delta double, "
    "delta_ci_low double, delta_ci_high double, is_gate_metric boolean",
}
"""What the verdict reads, and of its columns those it needs."""


def empty_warehouse() -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory with every input of the verdict, without rows."""
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    for name, columns in INPUTS.items():
        connection.execute(f"create table {name} ({columns})")
    return connection


def fill(
    connection: duckdb.DuckDBPyConnection,
    world: VerdictWorld,
    *,
    champion: str = "v1",
    alpha: float = ALPHA,
    alpha_std_error: float | None = None,
) -> None:
    """Write a world as evaluation 'e1' of v2 against `champion`, propensities known.

    Args:
        connection: from `empty_warehouse`.
        world: its log and scores.
        champion: 'v1', or 'logged' where the order of the log stands for it.
        alpha: of the propensities that the estimate is given.
        alpha_std_error: and their error, if any.
    """
    n_searches, page = world.shown.shape
    connection.execute(
        "insert into evaluations values ('e1', 'v2', ?, '2026-03-01', '2026-03-08', '2026-03-09')",
        [champion],
    )
    searches = pa.table({"s": np.arange(n_searches), "q": world.query, "u": world.user})
    shown = pa.table(
        {
            "s": np.repeat(np.arange(n_searches), page),
            "q": np.repeat(world.query, page),
            "d": world.shown.ravel(),
            "r": np.tile(np.arange(1, page + 1), n_searches),
            "c": world.clicked.ravel().astype(np.int8),
        }
    )
    n_queries, n_candidates = world.champion.shape
    scores = pa.table(
        {
            "q": np.repeat(np.arange(n_queries), n_candidates),
            "d": np.tile(np.arange(n_candidates), n_queries),
            "v1": world.champion.ravel(),
            "v2": world.challenger.ravel(),
        }
    )
    for name, table in (("s", searches), ("i", shown), ("p", scores)):
        connection.register(name, table)
    connection.execute(
        "insert into fct_searches select 's' || s, 'u' || u, timestamp '2026-03-02', false, "
        "false, null from s"
    )
    connection.execute(
        "insert into fct_impressions select 's' || s, 'q' || q, 'd' || d, r, c, null, '*' from i"
    )
    for version in {"v2", champion} - {"logged"}:
        connection.execute(
            f"insert into candidate_scores select '{version}', 'q' || q, 'd' || d, {version} from p"
        )
    connection.execute(
        "insert into fct_position_propensities "
        "select '*', n, power(n, -?), null, true from range(1, ? + 1) as ranks (n)",
        [alpha, page],
    )
    connection.execute(
        "insert into fct_propensity_diagnostics values ('*', ?, true)", [alpha_std_error]
    )
    for name in "sip":
        connection.unregister(name)


@functools.cache
def project(**variables: Any) -> SqlProject:
    """The project with other vars, rendered once."""
    return SqlProject(**variables)


def verdict(world: VerdictWorld, **given: Any) -> dict[str, Any]:
    """The row of fct_offline_verdicts for the world's challenger."""
    connection = empty_warehouse()
    fill(connection, world, **given)
    return judged(connection)


def judged(connection: duckdb.DuckDBPyConnection, **variables: Any) -> dict[str, Any]:
    """The row of fct_offline_verdicts for what is in the warehouse."""
    project(**variables).build(connection, *MODELS)
    (row,) = connection.sql("select * from fct_offline_verdicts").to_arrow_table().to_pylist()
    return row
