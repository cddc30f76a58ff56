"""Who searches: human users with habits, and robots of five kinds."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flywheel.simulator.words import CRAWLER_AGENTS, DESKTOP_AGENTS, MOBILE_AGENTS
from flywheel.simulator.world import World

BOT_KINDS = ("crawler", "headless", "click_farm", "monitor", "scraper")
BOTS_PER_KIND = 40
NULL_AGENT_SHARE = 0.03
MOBILE_SHARE = 0.45

# How a visitor's events carry `user_id`.
SAME_AS_CLIENT, EMPTY, ABSENT = 0, 1, 2


@dataclass(frozen=True)
class Visitors:
    """All visitors of a world: its humans first, then `BOTS_PER_KIND` of each kind of robot.

    Attributes:
        client_id: (V,) stable random names that do not give robots away.
        kind: (V,) 0 for humans, else 1 + the position in `BOT_KINDS`.
        mobile: (V,) on a mobile device.
        user_agent: (V,) None where the log has none.
        address: (V,) private network addresses.
        activity: (n_users,) how often each human comes, mean 1.
        user_id_style: (V,) `SAME_AS_CLIENT`, `EMPTY` or `ABSENT`.
    """

    client_id: npt.NDArray[np.str_]
    kind: npt.NDArray[np.int64]
    mobile: npt.NDArray[np.bool_]
    user_agent: list[str | None]
    address: list[str]
    activity: npt.NDArray[np.float64]
    user_id_style: npt.NDArray[np.int64]

    @property
    def n_users(self) -> int:
        """Number of humans; they have the numbers below it."""
        return len(self.activity)

    def bots(self, kind: str) -> npt.NDArray[np.int64]:
        """Visitor numbers of one kind of robot."""
        return np.flatnonzero(self.kind == 1 + BOT_KINDS.index(kind))

    def table(self) -> pa.Table:
        """The truth: `client_id`, `kind` ('human' or a robot's), `is_bot`, `device`."""
        return pa.table(
            {
                "client_id": pa.array(self.client_id),
                "kind": pa.array(np.array(["human", *BOT_KINDS])[self.kind]),
                "is_bot": pa.array(self.kind > 0),
                "device": pa.array(np.where(self.mobile, "mobile", "desktop")),
            }
        )


@lru_cache(maxsize=8)
def _build(seed: int, n_users: int) -> Visitors:
    rng = np.random.default_rng([seed, 2])
    kind = np.concatenate([np.zeros(n_users, int), np.repeat(np.arange(1, 6), BOTS_PER_KIND)])
    n = len(kind)
    raw = rng.integers(0, 2**63, n)
    mobile = (rng.random(n) < MOBILE_SHARE) & (kind != 1 + BOT_KINDS.index("crawler"))
    # A handful of agents has most of the traffic, as in life.
    pick = rng.random(n) ** 1.7
    agents: list[str | None] = []
    no_agent = (rng.random(n) < NULL_AGENT_SHARE) & (kind == 0)
    for i in range(n):
        if no_agent[i]:
            agents.append(None)
            continue
        pool = MOBILE_AGENTS if mobile[i] else DESKTOP_AGENTS
        if kind[i] == 1 + BOT_KINDS.index("crawler"):
            pool = CRAWLER_AGENTS
        agents.append(pool[int(pick[i] * len(pool))])
    octets = rng.integers(1, 255, (n, 3)).tolist()
    activity = rng.lognormal(0.0, 1.0, n_users)
    return Visitors(
        client_id=np.array([f"{value:016x}" for value in raw.tolist()]),
        kind=kind,
        mobile=mobile,
        user_agent=agents,
        address=[f"10.{a}.{b}.{c}" for a, b, c in octets],
        activity=activity / activity.mean(),
        user_id_style=rng.choice(3, n, p=(0.4, 0.2, 0.4)),
    )


def visitors_of(world: World) -> Visitors:
    """The visitors of a world; the same for every day, deployment and traffic seed."""
    return _build(world.seed, world.n_users)
