"""Made-up traffic in two windows: visitors who differ from each other and come back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from sql_project import SqlProject

RANKS = [f"rank {rank}" for rank in range(1, 11)] + ["ranks 11 to 20"]
CLICK_RATES = np.array([0.30, 0.20, 0.15, 0.12, 0.10, 0.09, 0.08, 0.07, 0.06, 0.05, 0.02])
COVERAGE = np.array([*[0.09] * 10, 0.10])
DWELLS = ["below 2 s", "2 to 4 s", "8 to 16 s", "32 to 64 s", "128 to 256 s", "unknown"]
DWELL_SHARES = np.array([0.10, 0.15, 0.25, 0.25, 0.05, 0.20])


@dataclass(frozen=True)
class World:
    """The truth in one window.

    Attributes:
        click_rates: per band of ranks.
        bot_share: of visitors.
        dwells: share of each octave among the clicked.
        coverage: share of each band of ranks among the documents shown.
    """

    click_rates: np.ndarray = field(default_factory=lambda: CLICK_RATES)
    bot_share: float = 0.05
    dwells: np.ndarray = field(default_factory=lambda: DWELL_SHARES)
    coverage: np.ndarray = field(default_factory=lambda: COVERAGE)


def hellinger(first: np.ndarray, second: np.ndarray) -> float:
    """Distance of two measures, from its definition."""
    squares = (np.sqrt(first) - np.sqrt(second)) ** 2
    return float(np.sqrt(squares.sum() / (first + second).sum()))


def at_distance(change: Callable[[float], float], distance: float) -> float:
    """The strength, from 0 to 1, at which `change` (rising) reaches a distance; by bisection."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if change(middle) < distance else (low, middle)
    return low


def cells(rng: np.random.Generator, before: World, after: World, visitors: int) -> pa.Table:
    """The rows of int_drift_cells that one draw of visitors gives.

    Half of the visitors come in both windows, with the same habits: how much they search, how
    readily they click, how long they stay, how deep they look.
    """
    groups = rng.integers(1, 21, visitors)
    activity = rng.lognormal(0, 0.8, visitors)
    eagerness = rng.gamma(4, 0.25, visitors)
    days = rng.integers(1, 5, visitors)
    # An order of visitors that does not move, so that who is a bot stays one.
    suspicion = rng.random(visitors)
    presence = rng.random(visitors)
    tables: dict[tuple[str, str, int], np.ndarray] = {}

    def add(measure: str, names: list[str], column: int, counts: np.ndarray) -> None:
        sums = np.zeros((20, len(names)), dtype=np.int64)
        np.add.at(sums, groups - 1, counts)
        for group, of_group in enumerate(sums, start=1):
            for name, count in zip(names, of_group, strict=True):
                row = tables.setdefault((measure, name, group), np.zeros(4, dtype=np.int64))
                row[column] += count

    for window, world in enumerate((before, after)):
        here = presence < 0.75 if window == 0 else presence >= 0.25
        depth = rng.dirichlet(40 * world.coverage, visitors)
        shown = rng.poisson(20 * activity[:, None] * depth) * here[:, None]
        rates = np.clip(eagerness[:, None] * world.click_rates, 0, 1)
        clicks = rng.binomial(shown, rates)
        stays = rng.dirichlet(8 * world.dwells, visitors)
        dwells = rng.multinomial(clicks.sum(axis=1), stays)
        is_bot = suspicion < world.bot_share
        bot_days = np.stack([np.where(is_bot, days, 0), np.where(is_bot, 0, days)], axis=1)
        add("click_rate_by_rank", RANKS, window, shown)
        add("click_rate_by_rank", RANKS, window + 2, clicks)
        add("rank_coverage", RANKS, window, shown)
        add("dwell", DWELLS, window, dwells)
        add("bot_share", ["bot", "human"], window, bot_days * here[:, None])
    columns = ("n_previous", "n_current", "n_previous_clicks", "n_current_clicks")
    return pa.table(
        {
            "measure": [measure for measure, _, _ in tables],
            "cell": [cell for _, cell, _ in tables],
            "jackknife_group": pa.array([group for _, _, group in tables], pa.int32()),
        }
        | {
            name: pa.array([row[i] for row in tables.values()], pa.int64())
            for i, name in enumerate(columns)
        }
    )


class Judge:
    """Runs int_drift_measures on made-up cells."""

    def __init__(self, **variables: Any) -> None:
        self._connection = duckdb.connect()
        self._connection.execute(
            "create table int_drift_windows as select timestamp '2026-01-01' as previous_start, "
            "timestamp '2026-01-08' as current_start, timestamp '2026-01-15' as current_end, "
            "true as has_two_windows"
        )
        self._query = SqlProject(**variables).model("int_drift_measures")

    def __call__(self, rows: pa.Table) -> dict[str, dict[str, Any]]:
        """The row of each measure, as column -> value."""
        self._connection.register("int_drift_cells", rows)
        cursor = self._connection.execute(self._query)
        names = [column[0] for column in cursor.description]
        found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        self._connection.unregister("int_drift_cells")
        return {row["measure"]: row for row in found}
