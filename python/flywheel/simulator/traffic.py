"""One day of traffic: who searches what and when, what is shown, and what they do with it.

All of it is arrays: a day has S searches of K shown results and E events. A day's random numbers
come from (seed, date) alone, so that a month may be simulated in any pieces.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flywheel.errors import FlywheelError
from flywheel.serving import Arm, Deployment, assign
from flywheel.simulator.robots import Robots
from flywheel.simulator.rounds import (
    CLICK,
    DAY_MS,
    PAGE_EXIT,
    Events,
    IntArray,
    Round,
    n_days_today,
    results_shown,
)
from flywheel.simulator.visitors import PERSONAS, Visitors, visitors_of
from flywheel.simulator.world import World

BoolArray = npt.NDArray[np.bool_]

DEFAULT_START = dt.date(2026, 1, 5)
PAGE_SIZE = 10
DEEPEST_RANK = 50

# Ways of typing a query; most people type it plainly.
TEXT_STYLES = ("plain", "title", "upper", "trailing", "doubled")
_TEXT_STYLE_SHARES = (0.7, 0.12, 0.05, 0.08, 0.05)

# Human sessions.
_SESSION_LENGTHS = (0.5, 0.25, 0.15, 0.1)  # P(1), P(2), P(3), P(4) planned searches
_MAX_SEARCHES = 4
_RETRY_SHARE = 0.3  # goes on unplanned when nothing satisfied
_REFORMULATION_SHARE = 0.5  # of the searches that follow an unsatisfying one
_SEARCHES_PER_SESSION = 1.95
_MAX_SESSIONS_PER_DAY = 12
# Pauses within a session stay below the usual half hour, those between sessions above it.
_BETWEEN_SESSIONS_MS = 31 * 60_000
_LONGEST_READING_S = 900.0
_LONGEST_PAUSE_MS = 800_000
_EXIT_SHARE = 0.8
# Searches begin mostly between 9 and 22 UTC: quantiles of the hour of the day.
_HOUR_QUANTILES = (0.0, 0.04, 0.1, 0.28, 0.5, 0.72, 0.93, 1.0)
_HOURS = (0.55, 4.0, 8.0, 11.0, 14.5, 18.0, 21.5, 23.5)

# The night owls' hours, likewise.
_NIGHT_QUANTILES = (0.0, 0.65, 0.75, 1.0)
_NIGHT_HOURS = (0.55, 5.0, 20.0, 23.5)

# Days on which a power user makes a hundred searches, or somebody uses the search as a bookmark:
# their shares of the hard days' searches, and how such a day goes.
_HARD_SHARES = {"power_user": 0.7, "refinder": 0.3}
_POWER_SEARCHES = (80, 250)
_POWER_MEDIAN, _POWER_SIGMA = 105.0, 0.25
_POWER_MEAN = _POWER_MEDIAN * float(np.exp(_POWER_SIGMA**2 / 2))
_POWER_SESSIONS = (4, 9)
_POWER_HURRY = 0.4  # of other people's pauses
_REFINDER_SEARCHES = (6, 15)
# How deep power users page: P(1), P(2), P(3) pages.
_POWER_PAGES = (0.82, 0.12, 0.06)


@dataclass(frozen=True)
class DayTraffic:
    """One simulated day; searches in order of time, events in order of time.

    Attributes:
        date: the day, UTC.
        searched_at: (S,) milliseconds since 1970.
        visitor: (S,) numbers into `visitors_of(world)`.
        session: (S,) session numbers, unique in the day.
        query: (S,) query numbers.
        style: (S,) positions in `TEXT_STYLES`.
        canary: (S,) served by the canary arm.
        is_randomised: (S,) the shown page was shuffled.
        shown: (S, K) candidate numbers of the first page in shown order.
        deeper: (S, W) those of the later pages, -1 where the visitor did not ask for them.
        before: (S, K) 1-based rank of each shown result before the shuffle.
        search_key: (S, 2) random words of the search ids.
        event_search: (E,) positions in the searches.
        event_at: (E,) milliseconds since 1970.
        event_kind: (E,) `CLICK` or `PAGE_EXIT`.
        event_rank: (E,) 1-based rank of the result.
        event_dwell: (E,) milliseconds for a page exit, 0 for a click.
    """

    date: dt.date
    searched_at: IntArray
    visitor: IntArray
    session: IntArray
    query: IntArray
    style: IntArray
    canary: BoolArray
    is_randomised: BoolArray
    shown: IntArray
    deeper: IntArray
    before: IntArray
    search_key: npt.NDArray[np.uint64]
    event_search: IntArray
    event_at: IntArray
    event_kind: IntArray
    event_rank: IntArray
    event_dwell: IntArray


@dataclass(frozen=True)
class Plan:
    """What to simulate.

    Attributes:
        world: the truth.
        deployment: who is served by what; None means production for everybody.
        searches_per_day: expected searches of humans.
        seed: of the traffic; the world has its own.
        randomised_share: share of searches whose whole page is shuffled; searches that page on
            are left out.
        bot_share: share of robots among all searches.
        hard_share: share of the humans' searches that are made on a power user's or a re-finder's
            big day.
    """

    world: World
    deployment: Deployment | None = None
    searches_per_day: int = 1500
    seed: int = 1
    randomised_share: float = 0.05
    bot_share: float = 0.07
    hard_share: float = 0.02

    def __post_init__(self) -> None:
        """Refuse what no world could do."""
        most = 4 * self.world.n_users
        if not 1 <= self.searches_per_day <= most:
            raise FlywheelError(
                f"{self.world.n_users} simulated users cannot make {self.searches_per_day} "
                f"searches a day; choose 1 to {most}, or more users."
            )
        for name, limit in (("randomised_share", 1.0), ("bot_share", 0.9), ("hard_share", 0.5)):
            if not 0.0 <= getattr(self, name) <= limit:
                raise FlywheelError(
                    f"The simulation's {name} is {getattr(self, name)}; choose 0 to {limit:g}."
                )


def simulate_days(plan: Plan, start_date: dt.date, days: int) -> Iterator[DayTraffic]:
    """Simulate consecutive days, one at a time.

    Raises:
        FlywheelError: there is no day to simulate.
    """
    if days < 1:
        raise FlywheelError(f"{days} days cannot be simulated; choose 1 or more.")
    street = _Street(plan)
    for offset in range(days):
        yield street.day(start_date + dt.timedelta(days=offset))


def page_orders(world: World, deployment: Deployment | None) -> dict[str, IntArray]:
    """(Q, D) order of the candidates under each arm, by variant name."""
    if deployment is None:
        return {"champion": world.production_order}
    features = world.features_table()

    def order(arm: Arm) -> IntArray:
        if arm.ranker is None:
            return world.production_order
        return world.order_of(arm.ranker.score_table(features))

    return {variant: order(arm) for variant, arm in deployment.arms.items()}


class _Street:
    """What is the same on every day of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.world = plan.world
        self.visitors: Visitors = visitors_of(plan.world)
        orders = page_orders(plan.world, plan.deployment)
        self.orders = np.stack([orders["champion"], orders.get("canary", orders["champion"])])
        arms = {} if plan.deployment is None else plan.deployment.arms
        self.is_production = np.array(
            [v not in arms or arms[v].ranker is None for v in ("champion", "canary")]
        )
        self.in_canary = np.zeros(len(self.visitors.client_id), dtype=bool)
        if plan.deployment is not None:
            ids = self.visitors.client_id.tolist()
            self.in_canary = assign(plan.deployment, ids) == "canary"
        self.depth = min(PAGE_SIZE, self.world.docs_per_query)
        self.deepest = max(self.depth, min(DEEPEST_RANK, self.world.docs_per_query))
        self.satisfies = 0.15 + 0.75 * self.world.relevance
        self.query_cdf = np.cumsum(self.world.popularity)
        self.related = _related_queries(self.world)
        self.clumsiness = self.visitors.double_click_share()
        # Share of robots among all searches, so robots per search of a human:
        robots = plan.searches_per_day * plan.bot_share / (1.0 - plan.bot_share)
        self.robots = Robots(plan.world, self.visitors, plan.seed, robots)

    def day(self, date: dt.date) -> DayTraffic:
        root = np.random.SeedSequence([self.plan.seed, date.toordinal()])
        humans, robots = (np.random.default_rng(child) for child in root.spawn(2))
        rounds = [*self._humans(humans, date), *self.robots.day(robots, date, self._serve)]
        midnight = (date - dt.date(1970, 1, 1)).days * DAY_MS
        return _merge(date, midnight, rounds)

    def _queries(self, rng: np.random.Generator, size: int) -> IntArray:
        drawn = np.searchsorted(self.query_cdf, rng.random(size), side="right")
        return np.minimum(drawn, self.world.n_queries - 1)

    def _serve(
        self, rng: np.random.Generator, visitor: IntArray, query: IntArray, pages: IntArray
    ) -> dict[str, np.ndarray]:
        """Choose the arm, order the results, shuffle some pages, show as many as asked for."""
        size = len(visitor)
        arm = self.in_canary[visitor].astype(np.int64)
        results = self.orders[arm, query, : self.deepest]
        if self.world.production_jitter > 0.0:
            noise = rng.normal(0.0, self.world.production_jitter, (size, self.world.docs_per_query))
            jittered = np.argsort(-(self.world.production_scores[query] + noise), axis=1)
            production = self.is_production[arm][:, None]
            results = np.where(production, jittered[:, : self.deepest], results)
        page = results[:, : self.depth]
        # A page that is read on from is not shuffled: the later ranks could not be.
        is_randomised = (rng.random(size) < self.plan.randomised_share) & (pages == 1)
        rank = np.arange(self.depth, self.deepest)
        before = np.tile(np.arange(1, self.depth + 1), (size, 1))
        shuffled = rng.permuted(before, axis=1)
        before = np.where(is_randomised[:, None], shuffled, before)
        return {
            "visitor": visitor,
            "query": query,
            "style": rng.choice(len(TEXT_STYLES), size, p=_TEXT_STYLE_SHARES),
            "canary": arm.astype(bool),
            "is_randomised": is_randomised,
            "shown": np.take_along_axis(page, before - 1, axis=1),
            "deeper": np.where(rank < pages[:, None] * PAGE_SIZE, results[:, self.depth :], -1),
            "before": before,
            "search_key": rng.integers(0, 2**64, (size, 2), dtype=np.uint64),
        }

    def _humans(self, rng: np.random.Generator, date: dt.date) -> list[Round]:
        sessions = self._sessions(rng, date)
        user, planned, query = sessions.user, sessions.planned, sessions.query.copy()
        n = len(user)
        # People of few searches may go on unplanned, up to the usual most.
        limit = np.maximum(planned, np.where(sessions.is_hard, 0, _MAX_SEARCHES))
        clock = np.zeros(n, dtype=np.int64)  # since the start of the session
        duration = np.zeros(n, dtype=np.int64)
        live = np.arange(n)
        rounds = []
        for position in range(1, int(limit.max(initial=0)) + 1):
            pages = np.ones(len(live), dtype=np.int64)
            eager = sessions.is_power[live]
            pages[eager] = 1 + rng.choice(3, int(eager.sum()), p=_POWER_PAGES)
            page = self._serve(rng, user[live], query[live], pages)
            page["session"] = live
            page["searched_at"] = clock[live]
            events, end, satisfied = self._behave(rng, page)
            rounds.append(Round(page, events))
            duration[live] = end

            size = len(live)
            goes_on = position < planned[live]
            retries = ~satisfied & (rng.random(size) < _RETRY_SHARE) & ~sessions.is_hard[live]
            reformulates = ~satisfied & (rng.random(size) < _REFORMULATION_SHARE)
            quick = rng.uniform(4_000, 45_000, size)
            slow = np.clip(rng.lognormal(np.log(90_000), 0.8, size), 8_000, _LONGEST_PAUSE_MS)
            slow = np.where(sessions.is_power[live], _POWER_HURRY * slow, slow)
            sibling = self.related[page["query"], rng.integers(0, self.related.shape[1], size)]
            clock[live] = end + np.where(reformulates, quick, slow).astype(np.int64)
            following = np.where(reformulates, sibling, self._queries(rng, size))
            query[live] = np.where(sessions.is_refinding[live], query[live], following)
            live = live[(goes_on | retries) & (position < limit[live])]
            if not len(live):
                break
        placed = _keep_apart(user, sessions.start, duration)
        return [part.moved(placed) for part in rounds]

    def _sessions(self, rng: np.random.Generator, date: dt.date) -> "_Sessions":
        """The day's sessions, sorted by user."""
        hard_user, hard_planned, hard_query = self._hard_sessions(rng, date)
        busy = np.unique(hard_user)
        share = self.plan.hard_share if self._has_hard_people() else 0.0
        expected = self.plan.searches_per_day * (1.0 - share) / _SEARCHES_PER_SESSION
        n = max(1, int(expected + rng.random()))
        # An exponential race: each user has a few tickets, the earliest n win. So users come in
        # proportion to their activity, yet nobody more often than a person would.
        activity = self.visitors.activity
        race = rng.exponential(size=(len(activity), _MAX_SESSIONS_PER_DAY)) / activity[:, None]
        race[busy] = np.inf  # who has a big day has no other
        n = min(n, int(np.isfinite(race).sum()))
        winners = np.argpartition(race.ravel(), n - 1)[:n] if n else np.empty(0, np.int64)
        user = np.concatenate([winners // _MAX_SESSIONS_PER_DAY, hard_user])
        planned = np.concatenate(
            [1 + rng.choice(_MAX_SEARCHES, n, p=_SESSION_LENGTHS), hard_planned]
        )
        query = np.concatenate([self._queries(rng, n), hard_query])
        is_hard = np.arange(len(user)) >= n
        order = np.argsort(user, kind="stable")
        user, planned, query, is_hard = user[order], planned[order], query[order], is_hard[order]
        persona = self.visitors.persona[user]
        # A user's sessions take turns in equal parts of the day.
        turn, count = _turns(user)
        quantile = (turn + rng.random(len(user))) / count
        hours = np.where(
            persona == PERSONAS.index("night_owl"),
            np.interp(quantile, _NIGHT_QUANTILES, _NIGHT_HOURS),
            np.interp(quantile, _HOUR_QUANTILES, _HOURS),
        )
        return _Sessions(
            user=user,
            start=(hours * 3_600_000).astype(np.int64),
            planned=planned,
            query=query,
            is_hard=is_hard,
            is_power=is_hard & (persona == PERSONAS.index("power_user")),
            is_refinding=is_hard & (persona == PERSONAS.index("refinder")),
        )

    def _has_hard_people(self) -> bool:
        return all(len(self.visitors.people(name)) for name in _HARD_SHARES)

    def _hard_sessions(
        self, rng: np.random.Generator, date: dt.date
    ) -> tuple[IntArray, IntArray, IntArray]:
        """User, planned searches and first query of the sessions of people with a big day."""
        users: list[int] = []
        planned: list[int] = []
        queries: list[int] = []
        if not self._has_hard_people():
            return (np.empty(0, np.int64),) * 3
        for number, (persona, share) in enumerate(_HARD_SHARES.items()):
            pool = self.visitors.people(persona)
            is_power = persona == "power_user"
            mean = _POWER_MEAN if is_power else sum(_REFINDER_SEARCHES) / 2
            expected = self.plan.searches_per_day * self.plan.hard_share * share / mean
            phase = (self.plan.seed * 0.618034 + 0.4 + number / 3) % 1.0
            n = min(len(pool), n_days_today(date.toordinal(), expected, phase))
            for user in rng.permutation(pool)[:n].tolist():
                if is_power:
                    drawn = rng.lognormal(np.log(_POWER_MEDIAN), _POWER_SIGMA)
                    size = int(np.clip(drawn, *_POWER_SEARCHES))
                    parts = int(rng.integers(_POWER_SESSIONS[0], _POWER_SESSIONS[1] + 1))
                else:
                    size = int(rng.integers(_REFINDER_SEARCHES[0], _REFINDER_SEARCHES[1] + 1))
                    parts = int(rng.integers(2, 6))
                share_of_part = rng.dirichlet(np.full(parts, 4.0))
                sizes = np.maximum(1, np.round(share_of_part * size)).astype(int).tolist()
                wanted = self._queries(rng, 1 if not is_power else parts).tolist()
                users += [user] * parts
                planned += sizes
                queries += wanted * (parts // len(wanted))
        return (
            np.array(users, dtype=np.int64),
            np.array(planned, dtype=np.int64),
            np.array(queries, dtype=np.int64),
        )

    def _behave(
        self, rng: np.random.Generator, page: dict[str, np.ndarray]
    ) -> tuple[Events, IntArray, BoolArray]:
        """Examine, click, read, leave; the position-based click model.

        Returns:
            The events, the time each search ends, and whether anything satisfied.
        """
        shown, query, start = results_shown(page), page["query"], page["searched_at"]
        size = len(query)
        chance = self.world.click_probability(
            self.world.gamma[query[:, None], shown], self.visitors.mobile[page["visitor"]]
        )
        chance = np.where(shown >= 0, chance, 0.0)
        row, column = np.nonzero(rng.random(shown.shape) < chance)
        n = len(row)
        good = rng.random(n) < self.satisfies[query[row], shown[row, column]]
        z = rng.normal(size=n)
        seconds = np.exp(np.where(good, np.log(70.0) + 0.5 * z, np.log(8.0) + 0.6 * z))
        dwell = (np.clip(seconds, 1.0, _LONGEST_READING_S) * 1000).astype(np.int64)
        think = np.clip(1.3 + rng.lognormal(np.log(4.0), 0.6, n), 1.3, 120.0)
        think = (think * 1000).astype(np.int64)

        # Within a search: look, click, read, come back, look, click ...
        is_first = np.concatenate([[True], row[1:] != row[:-1]]) if n else np.empty(0, bool)
        wait = think + np.where(is_first, 0, np.roll(dwell, 1))
        elapsed = np.cumsum(wait)
        origin = (elapsed - wait)[is_first]
        clicks = np.bincount(row, minlength=size)
        clicked_at = start[row] + elapsed - np.repeat(origin, clicks[clicks > 0])

        end = start + (np.clip(rng.lognormal(np.log(12), 0.6, size), 2, 120) * 1000).astype(int)
        np.maximum.at(end, row, clicked_at + dwell)
        satisfied = np.zeros(size, dtype=bool)
        satisfied[row[good]] = True

        leaves = rng.random(n) < _EXIT_SHARE
        twice = rng.random(n) < self.clumsiness[page["visitor"][row]]
        again = clicked_at + rng.integers(150, 900, n)
        events = Events(
            search=np.concatenate([row, row[twice], row[leaves]]),
            at=np.concatenate([clicked_at, again[twice], (clicked_at + dwell)[leaves]]),
            kind=np.repeat([CLICK, CLICK, PAGE_EXIT], [n, twice.sum(), leaves.sum()]),
            rank=1 + np.concatenate([column, column[twice], column[leaves]]),
            dwell=np.concatenate([np.zeros(n + twice.sum(), int), dwell[leaves]]),
        )
        return events, end, satisfied


@dataclass(frozen=True)
class _Sessions:
    """A day's N sessions of humans, sorted by user.

    Attributes:
        user: (N,) visitor numbers.
        start: (N,) wished for, milliseconds after midnight.
        planned: (N,) searches.
        query: (N,) the first one.
        is_hard: (N,) part of a big day.
        is_power: (N,) of a power user's.
        is_refinding: (N,) of a re-finder's: the same query again and again.
    """

    user: IntArray
    start: IntArray
    planned: IntArray
    query: IntArray
    is_hard: BoolArray
    is_power: BoolArray
    is_refinding: BoolArray


def _turns(user: IntArray) -> tuple[IntArray, IntArray]:
    """For rows sorted by user: which of the user's rows each is, from 0, and out of how many."""
    _, begin, count = np.unique(user, return_index=True, return_counts=True)
    return np.arange(len(user)) - np.repeat(begin, count), np.repeat(count, count)


def _keep_apart(user: IntArray, start: IntArray, duration: IntArray) -> IntArray:
    """Move sessions as little as needed: none overlaps its user's next, none passes midnight.

    Args:
        user: of each session, sorted; a user's sessions in turn.
        start: wished for, ms after midnight.
        duration: ms.
    """
    turn, count = _turns(user)
    start = start.copy()
    for number in range(1, turn.max(initial=0) + 1):
        here = np.flatnonzero(turn == number)
        earliest = start[here - 1] + duration[here - 1] + _BETWEEN_SESSIONS_MS
        start[here] = np.maximum(start[here], earliest)
    for number in range(turn.max(initial=0), -1, -1):
        here = np.flatnonzero(turn == number)
        is_last = number == count[here] - 1
        following = np.minimum(here + 1, len(user) - 1)
        latest = np.where(is_last, DAY_MS - 1, start[following] - _BETWEEN_SESSIONS_MS)
        start[here] = np.minimum(start[here], latest - duration[here])
    # The first half hour of a day is left out, so that no session joins one of the day before.
    return np.maximum(start, _BETWEEN_SESSIONS_MS)


def _related_queries(world: World, n_related: int = 5) -> IntArray:
    """(Q, n_related) other queries about the same noun, or failing those, neighbours."""
    related = np.empty((world.n_queries, n_related), dtype=np.int64)
    for query in range(world.n_queries):
        same = np.flatnonzero(world.topic == world.topic[query])
        same = same[same != query]
        if not len(same):
            same = np.array([(query + 1) % world.n_queries])
        related[query] = np.resize(same, n_related)
    return related


def _merge(date: dt.date, midnight: int, rounds: list[Round]) -> DayTraffic:
    """Put the rounds together, in order of time."""
    page = {name: np.concatenate([part.page[name] for part in rounds]) for name in rounds[0].page}
    sizes = [len(part.page["query"]) for part in rounds]
    offset = np.cumsum([0, *sizes[:-1]])
    order = np.lexsort((page["search_key"][:, 0], page["searched_at"]))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    search = place[
        np.concatenate([part.events.search + o for part, o in zip(rounds, offset, strict=True)])
    ]
    events = {
        name: np.concatenate([getattr(part.events, name) for part in rounds])
        for name in ("at", "kind", "rank", "dwell")
    }
    within = events["at"] < DAY_MS
    sort = np.lexsort((events["rank"], events["kind"], search, events["at"]))
    sort = sort[within[sort]]
    page = {name: values[order] for name, values in page.items()}
    page["searched_at"] = page["searched_at"] + midnight
    return DayTraffic(
        date=date,
        **page,
        event_search=search[sort],
        event_at=events["at"][sort] + midnight,
        event_kind=events["kind"][sort],
        event_rank=events["rank"][sort],
        event_dwell=events["dwell"][sort],
    )
