"""The analysis that plans a shuffled slice keeps what it promises, in a world of known clicks."""

from datetime import datetime, timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from flywheel.analyses import compiled
from propensity_worlds import EXAMINATION
from sql_project import PROJECT

DAYS = 28
SEARCHES = 2000
"""A day."""
PLACES = len(EXAMINATION)
PROPENSITY = EXAMINATION / EXAMINATION[0]
SLICES = 400
"""Simulated for each promise: a standard deviation of so many is known to 3.5 %."""


def attraction(random: np.random.Generator, searches: int) -> np.ndarray:
    """How attractive the documents of each page are, shape (searches, places): few are."""
    return random.beta(1.2, 3, size=(searches, PLACES))


def clicks(random: np.random.Generator, pages: np.ndarray) -> np.ndarray:
    """Clicks on pages, of the same shape, in the order shown."""
    return random.random(pages.shape) < EXAMINATION * pages


@pytest.fixture(scope="module")
def plan() -> dict[tuple[float, int], dict[str, float]]:
    """The analysis on a log whose ranker puts the better document first, share and days -> row."""
    random = np.random.default_rng(11)
    pages = attraction(random, DAYS * SEARCHES)
    ranked = np.sort(pages + random.normal(0, 0.1, pages.shape), axis=1)[:, ::-1].clip(0, 1)
    shown = clicks(random, ranked)
    start = datetime(2026, 1, 1)
    searched_at = [start + timedelta(days=n // SEARCHES) for n in range(DAYS * SEARCHES)]
    with duckdb.connect() as connection:
        connection.register(
            "log",
            pa.table(
                {
                    "search_id": [str(n) for n in np.repeat(np.arange(len(pages)), PLACES)],
                    "searched_at": [at for at in searched_at for _ in range(PLACES)],
                    "rank": np.tile(np.arange(1, PLACES + 1), len(pages)),
                    "clicked": shown.ravel().astype(int),
                    "propensity_context": ["all"] * shown.size,
                }
            ),
        )
        connection.register(
            "curve",
            pa.table(
                {
                    "context": ["all"] * (PLACES + 1),
                    "rank": [*range(1, PLACES + 1), 1],
                    "propensity": [*PROPENSITY, 0.1],
                    "is_active": [*[True] * PLACES, False],
                }
            ),
        )
        text = (PROJECT / "analyses" / "randomised_slice.sql").read_text("utf-8")
        tables = {"fct_impressions": "log", "fct_position_propensities": "curve"}
        found = connection.sql(compiled(text, tables))
        rows = [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
    return {(round(float(row["shuffled_share"]), 2), row["n_days"]): row for row in rows}


def test_every_share_and_length_is_told(plan: dict[tuple[float, int], dict[str, float]]) -> None:
    assert len(plan) == 15
    assert plan[0.05, 14]["n_searches"] == round(0.05 * 14 * SEARCHES)
    # Four times the traffic is half the error.
    errors = [plan[0.05, 7]["std_error_log_at_most"], plan[0.2, 7]["std_error_log_at_most"]]
    assert errors[0] == pytest.approx(2 * errors[1], rel=1e-9)


@pytest.mark.parametrize("share_and_days", [(0.1, 14), (0.2, 28)])
def test_a_slice_is_as_precise_as_was_promised(
    plan: dict[tuple[float, int], dict[str, float]], share_and_days: tuple[float, int]
) -> None:
    promised = plan[share_and_days]
    random = np.random.default_rng(12)
    estimates, lost = [], []
    for _ in range(SLICES):
        pages = attraction(random, int(promised["n_searches"]))
        rates = clicks(random, pages).mean(axis=0)
        estimates.append(np.log(rates / rates[0]))
        better = np.sort(pages, axis=1)[:, ::-1]
        lost.append(1 - (EXAMINATION * pages).sum() / (EXAMINATION * better).sum())
    found = np.std(estimates, axis=0, ddof=1)
    assert np.mean(estimates, axis=0) == pytest.approx(np.log(PROPENSITY), abs=0.1)
    # The promise takes documents for equally attractive, which makes it a little too wide.
    for rank in (2, 5, 10):
        promise = promised[f"std_error_log_of_rank_{rank}"]
        assert 0.85 * promise < found[rank - 1] < 1.08 * promise
    assert promised["std_error_log_at_most"] == max(
        promised[f"std_error_log_of_rank_{rank}"] for rank in (2, 5, 10)
    )
    # What is lost is what ranking had won, within what its noise costs.
    share, _ = share_and_days
    assert promised["share_of_clicks_lost"] == pytest.approx(share * np.mean(lost), rel=0.15)
