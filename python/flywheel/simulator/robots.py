"""Robots of seven kinds, each robot with habits of its own.

A robot's habits (how much, how fast, how regular, whether and what it clicks) are drawn once from
the world's seed and its number, so that it stays itself from day to day; only the day's chances
differ. The ranges are wide on purpose: the tame ones are told from people at a glance, the wily
ones mix queries, jitter their pauses, click now and then, or do so little that nobody could tell.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flywheel.simulator.rounds import Events, IntArray, Round, n_days_today, results_shown
from flywheel.simulator.visitors import BOT_KINDS, FARM_SIZE, Visitors
from flywheel.simulator.world import World

FloatArray = npt.NDArray[np.float64]
Serve = Callable[[np.random.Generator, IntArray, IntArray, IntArray], dict[str, np.ndarray]]
"""(rng, visitor, query, pages) to the columns of a batch."""

# Share of all robot searches.
BOT_SHARES = {
    "crawler": 0.22,
    "headless": 0.20,
    "click_farm": 0.10,
    "monitor": 0.14,
    "scraper": 0.14,
    "rapid_clicker": 0.06,
    "slow_regular": 0.14,
}
_DAY_S = 86_400.0
_ALL_PAGES = 1000


@dataclass(frozen=True)
class _Habits:
    """What a robot does on every day.

    Attributes:
        size: searches a day.
        pause: median seconds between searches.
        spread: of the pauses: sigma of their logarithm, or for clockwork the standard deviation
            over the interval.
        clockwork: keeps to an interval, late or early by a normal amount.
        hours: length of the part of the day in which it is at work.
        queries: the few it asks; empty: `walks` or draws by popularity.
        walks: goes through the catalogue in order.
        deep_share: of its searches that page deep.
        pages: how deep.
        click_share: of its searches with clicks.
        clicks: most results it clicks on a page.
        click_pause: median seconds before a click.
        dwell: median seconds on a clicked page.
        target: doc_id that it is paid to click; empty: none.
    """

    size: float
    pause: float
    spread: float
    clockwork: bool = False
    hours: float = 23.5
    queries: tuple[int, ...] = ()
    walks: bool = False
    deep_share: float = 0.0
    pages: int = 1
    click_share: float = 0.0
    clicks: int = 1
    click_pause: float = 3.0
    dwell: float = 5.0
    target: str = ""


class Robots:
    """The robots of a world and how many of them come on a day."""

    def __init__(
        self, world: World, visitors: Visitors, seed: int, searches_per_day: float
    ) -> None:
        """Give each robot its habits.

        Args:
            world: the truth.
            visitors: of the world.
            seed: of the traffic.
            searches_per_day: expected searches of all robots.
        """
        self.world = world
        self.visitors = visitors
        self.seed = seed
        self.query_cdf = np.cumsum(world.popularity)
        self.habits = {
            visitor: self._habits(kind, visitor, place)
            for kind in BOT_KINDS
            for place, visitor in enumerate(visitors.bots(kind).tolist())
        }
        self.visits = {
            kind: searches_per_day
            * BOT_SHARES[kind]
            / np.mean([self.habits[v].size for v in visitors.bots(kind).tolist()])
            for kind in BOT_KINDS
        }

    def day(self, rng: np.random.Generator, date: dt.date, serve: Serve) -> list[Round]:
        """The searches and events of the robots that come on a day."""
        rounds = []
        for number, kind in enumerate(BOT_KINDS):
            pool = self.visitors.bots(kind)
            phase = (self.seed * 0.618034 + number / len(BOT_KINDS)) % 1.0
            n = n_days_today(date.toordinal(), self.visits[kind], phase)
            busier = max(1.0, n / len(pool))
            for visitor in rng.permutation(pool)[:n].tolist():
                rounds.append(self._robot(rng, visitor, busier, serve))
        return rounds

    def _habits(self, kind: str, visitor: int, place: int) -> _Habits:
        rng = np.random.default_rng([self.world.seed, 4, visitor])

        def between(low: float, high: float) -> float:
            return float(rng.uniform(low, high))

        def around(median: float, sigma: float, low: float, high: float) -> float:
            return float(np.clip(rng.lognormal(np.log(median), sigma), low, high))

        if kind == "crawler":
            return _Habits(
                size=between(8, 60),
                pause=around(60, 1.0, 2, 600),
                spread=between(0.1, 0.8),
                walks=True,
                deep_share=float(rng.random() < 0.2) * 0.5,
                pages=3,
            )
        if kind == "headless":
            clicks_at_all = rng.random() < 0.6
            return _Habits(
                size=around(45, 0.6, 8, 180),
                pause=around(15, 0.8, 2, 120),
                spread=between(0.2, 1.0),
                hours=between(1, 20),
                walks=bool(rng.random() < 0.5),
                click_share=between(0.02, 0.5) if clicks_at_all else 0.0,
                clicks=int(rng.integers(1, 4)),
                click_pause=around(2.5, 0.5, 0.5, 10),
                dwell=around(6, 0.6, 1, 40),
            )
        if kind == "click_farm":
            # The visitors of one farm work for the same customer.
            farm = np.random.default_rng([self.world.seed, 5, place // FARM_SIZE])
            query = int(np.searchsorted(self.query_cdf[:-1], farm.random()))
            depth = min(10, self.world.docs_per_query)
            rank = int(farm.integers(min(2, depth - 1), depth))
            target = self.world.doc_ids[query, self.world.production_order[query, rank]]
            return _Habits(
                size=between(4, 20),
                pause=around(120, 0.8, 20, 1200),
                spread=between(0.4, 1.0),
                hours=between(1, 16),
                queries=(query,),
                click_share=between(0.05, 0.4),
                clicks=2,
                click_pause=around(3, 0.4, 1, 12),
                dwell=around(4, 0.5, 1, 20),
                target=str(target),
            )
        if kind == "monitor":
            interval = 60.0 * float(rng.choice([5, 10, 15, 20, 30, 60]))
            hours = 23.9 if rng.random() < 0.7 else between(8, 16)
            watched = np.searchsorted(self.query_cdf[:-1], rng.random(int(rng.integers(1, 4))))
            return _Habits(
                size=hours * 3600 / interval,
                pause=interval,
                spread=between(0.0, 0.15),
                clockwork=True,
                hours=hours,
                queries=tuple(watched.tolist()),
            )
        if kind == "scraper":
            return _Habits(
                size=around(30, 0.7, 5, 150),
                pause=around(3, 1.0, 0.3, 60),
                spread=between(0.1, 0.8),
                hours=between(0.5, 20),
                walks=bool(rng.random() < 0.7),
                deep_share=between(0.5, 1.0),
                pages=_ALL_PAGES if rng.random() < 0.8 else 2,
                click_share=float(rng.random() < 0.15) * 0.05,
            )
        if kind == "rapid_clicker":
            return _Habits(
                size=between(2, 15),
                pause=around(30, 0.8, 5, 300),
                spread=between(0.3, 0.9),
                hours=between(1, 16),
                click_share=between(0.6, 1.0),
                clicks=int(rng.integers(3, 11)),
                click_pause=around(0.6, 0.5, 0.15, 2.5),
                dwell=around(0.3, 0.5, 0.05, 2.0),
            )
        # slow_regular: most never sleep; the wily keep hours and are late by nearly a whole turn.
        interval = 60.0 * around(20, 0.6, 8, 70)
        hours = 23.9 if rng.random() < 0.65 else between(8, 18)
        return _Habits(
            size=hours * 3600 / interval,
            pause=interval,
            spread=between(0.02, 0.8),
            clockwork=True,
            hours=hours,
            click_share=between(0.0, 0.6),
            clicks=2,
            click_pause=around(5, 0.4, 2, 20),
            dwell=around(20, 0.6, 3, 90),
        )

    def _robot(self, rng: np.random.Generator, visitor: int, busier: float, serve: Serve) -> Round:
        habits = self.habits[visitor]
        n = max(
            1, round(habits.size * busier * (1.0 if habits.clockwork else rng.uniform(0.8, 1.2)))
        )
        start = self._times(rng, habits, n)
        query = self._queries(rng, habits, n)
        deep = rng.random(n) < habits.deep_share
        page = serve(rng, np.full(n, visitor), query, np.where(deep, habits.pages, 1))
        page["session"] = np.full(n, -1 - visitor)
        page["searched_at"] = start
        return Round(page, self._clicks(rng, habits, page))

    def _times(self, rng: np.random.Generator, habits: _Habits, n: int) -> IntArray:
        """(n,) milliseconds after midnight, in order."""
        room = habits.hours * 3600.0
        if habits.clockwork:
            step = room / n  # the interval, unless more work has to fit into the day
            ticks = (np.arange(n) + 0.5) * step
            late = np.clip(rng.normal(0.0, habits.spread * step / np.sqrt(2), n), -step, step)
            seconds = np.sort(np.maximum(ticks + late, 0.0))
            begin = rng.uniform(0.0, _DAY_S - room)
        else:
            gaps = rng.lognormal(np.log(habits.pause), habits.spread, n)
            # A pause for something else now and then.
            breaks = rng.random(n) < min(0.3, 2.0 / n)
            gaps = np.where(breaks, gaps + rng.uniform(0, room / 6, n), gaps)
            gaps *= min(1.0, room / gaps.sum())
            seconds = np.cumsum(gaps) - gaps[0]
            begin = rng.uniform(0.0, _DAY_S - 60.0 - seconds[-1])
        return np.minimum((begin + seconds) * 1000, _DAY_S * 1000 - 1).astype(np.int64)

    def _queries(self, rng: np.random.Generator, habits: _Habits, n: int) -> IntArray:
        n_queries = self.world.n_queries
        drawn = np.searchsorted(self.query_cdf[:-1], rng.random(n), side="right")
        if habits.target:  # hides its errand among other searches
            return np.where(rng.random(n) < 0.7, habits.queries[0], drawn)
        if habits.queries:
            return np.asarray(habits.queries)[np.arange(n) % len(habits.queries)]
        if habits.walks:
            return (rng.integers(n_queries) + np.arange(n)) % n_queries
        return drawn

    def _clicks(
        self, rng: np.random.Generator, habits: _Habits, page: dict[str, np.ndarray]
    ) -> Events:
        """Clicks at ranks drawn evenly from the page, in order of rank, and on the target."""
        shown = results_shown(page)
        depth = page["shown"].shape[1]
        cells = []
        for row in np.flatnonzero(rng.random(len(shown)) < habits.click_share).tolist():
            ranks = np.sort(rng.permutation(depth)[: rng.integers(1, habits.clicks + 1)])
            cells += [(row, rank) for rank in ranks.tolist()]
        if habits.target:
            documents = self.world.doc_ids[page["query"][:, None], page["shown"]]
            found = np.argwhere(documents == habits.target).tolist()
            cells = sorted({*cells, *map(tuple, found)})
        if not cells:
            return Events.none()
        row, column = np.array(cells, dtype=np.int64).T
        n = len(row)
        dwell = np.maximum(0.03, rng.lognormal(np.log(habits.dwell), 0.4, n))
        wait = np.maximum(0.1, rng.lognormal(np.log(habits.click_pause), 0.4, n))
        is_first = np.concatenate([[True], row[1:] != row[:-1]])
        wait += np.where(is_first, 0.0, np.roll(dwell, 1))
        elapsed = np.cumsum(wait)
        within = elapsed - np.repeat(
            (elapsed - wait)[is_first], np.diff(np.append(np.flatnonzero(is_first), n))
        )
        at = page["searched_at"][row] + (within * 1000).astype(np.int64)
        leaves = rng.random(n) < 0.6
        return Events.of_clicks(row, at, column + 1, (dwell * 1000).astype(np.int64), leaves)
