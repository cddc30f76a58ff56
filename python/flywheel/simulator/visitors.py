"""Who searches: people, some of them easily mistaken for robots, and robots of seven kinds."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flywheel.simulator.words import (
    CRAWLER_AGENTS,
    DESKTOP_AGENTS,
    MOBILE_AGENTS,
    UNLISTED_CRAWLER_AGENTS,
    UNUSUAL_PHONE_AGENTS,
)
from flywheel.simulator.world import World

BOT_KINDS = (
    "crawler",
    "headless",
    "click_farm",
    "monitor",
    "scraper",
    "rapid_clicker",
    "slow_regular",
)
BOTS_PER_KIND = 40
FARM_SIZE = 8  # visitors of one click farm, behind one address
UNLISTED_SHARE = 0.15  # of the crawlers: honest, but on nobody's list

# People, and the share of them that is likely to be taken for robots.
PERSONAS = (
    "ordinary",
    "power_user",
    "refinder",
    "office",
    "null_agent",
    "unusual_phone",
    "double_clicker",
    "night_owl",
)
PERSONA_SHARES = (0.79, 0.02, 0.02, 0.05, 0.03, 0.04, 0.02, 0.03)
OFFICE_SIZE = 30  # people behind one address, with one browser
MOBILE_SHARE = 0.45
DOUBLE_CLICK_SHARE = 0.02
DOUBLE_CLICKER_SHARE = 0.9

# How a visitor's events carry `user_id`.
SAME_AS_CLIENT, EMPTY, ABSENT = 0, 1, 2


@dataclass(frozen=True)
class Visitors:
    """All visitors of a world: its humans first, then `BOTS_PER_KIND` of each kind of robot.

    Attributes:
        client_id: (V,) stable random names that do not give robots away.
        kind: (V,) 0 for humans, else 1 + the position in `BOT_KINDS`.
        persona: (n_users,) positions in `PERSONAS`.
        mobile: (V,) on a mobile device.
        user_agent: (V,) None where the log has none.
        address: (V,) private network addresses.
        activity: (n_users,) how often each human comes, mean 1.
        user_id_style: (V,) `SAME_AS_CLIENT`, `EMPTY` or `ABSENT`.
    """

    client_id: npt.NDArray[np.str_]
    kind: npt.NDArray[np.int64]
    persona: npt.NDArray[np.int64]
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

    def people(self, persona: str) -> npt.NDArray[np.int64]:
        """Visitor numbers of one kind of human."""
        return np.flatnonzero(self.persona == PERSONAS.index(persona))

    def double_click_share(self) -> npt.NDArray[np.float64]:
        """(n_users,) share of a human's clicks that are sent twice."""
        clumsy = self.persona == PERSONAS.index("double_clicker")
        return np.where(clumsy, DOUBLE_CLICKER_SHARE, DOUBLE_CLICK_SHARE)

    def table(self) -> pa.Table:
        """The truth: a row a visitor.

        `client_id`, `kind` ('human' or a robot's), `persona` (the kind of human, or `kind`),
        `is_bot`, `device`.
        """
        kinds = np.array(["human", *BOT_KINDS])[self.kind]
        persona = np.array(PERSONAS)[self.persona].astype(object)
        return pa.table(
            {
                "client_id": pa.array(self.client_id),
                "kind": pa.array(kinds),
                "persona": pa.array([*persona, *kinds[self.n_users :]], pa.string()),
                "is_bot": pa.array(self.kind > 0),
                "device": pa.array(np.where(self.mobile, "mobile", "desktop")),
            }
        )


@lru_cache(maxsize=8)
def _build(seed: int, n_users: int) -> Visitors:
    rng = np.random.default_rng([seed, 2])
    n_kinds = len(BOT_KINDS)
    kind = np.concatenate(
        [np.zeros(n_users, int), np.repeat(np.arange(1, n_kinds + 1), BOTS_PER_KIND)]
    )
    n = len(kind)
    raw = rng.integers(0, 2**63, n)
    persona = rng.choice(len(PERSONAS), n_users, p=PERSONA_SHARES)
    is_crawler = kind == 1 + BOT_KINDS.index("crawler")

    def is_persona(name: str) -> npt.NDArray[np.bool_]:
        flags = np.zeros(n, dtype=bool)
        flags[:n_users] = persona == PERSONAS.index(name)
        return flags

    mobile = (rng.random(n) < MOBILE_SHARE) & ~is_crawler & ~is_persona("office")
    mobile |= is_persona("unusual_phone")
    # A handful of agents has most of the traffic, as in life.
    pick = rng.random(n) ** 1.7
    even = rng.random(n)
    is_unlisted = is_crawler & (rng.random(n) < UNLISTED_SHARE)
    pools = np.select(
        [is_unlisted, is_crawler, is_persona("unusual_phone"), mobile],
        [0, 1, 2, 3],
        default=4,
    )
    agents_by_pool = (
        UNLISTED_CRAWLER_AGENTS,
        CRAWLER_AGENTS,
        UNUSUAL_PHONE_AGENTS,
        MOBILE_AGENTS,
        DESKTOP_AGENTS,
    )
    agents: list[str | None] = []
    for i in range(n):
        pool = agents_by_pool[pools[i]]
        place = pick[i] if pools[i] in (1, 3, 4) else even[i]
        agents.append(pool[int(place * len(pool))])
    # Some robots send no agent either, so that silence proves nothing.
    silent = is_persona("null_agent") | ((kind > 0) & ~is_crawler & (rng.random(n) < 0.03))
    agents = [None if none else agent for agent, none in zip(agents, silent, strict=True)]

    octets = rng.integers(1, 255, (n, 3)).tolist()
    address = [f"10.{a}.{b}.{c}" for a, b, c in octets]
    for members, size in (
        (np.flatnonzero(is_persona("office")), OFFICE_SIZE),
        (np.flatnonzero(kind == 1 + BOT_KINDS.index("click_farm")), FARM_SIZE),
    ):
        for place, member in enumerate(members.tolist()):
            address[member] = address[members[place // size * size]]
            if size == OFFICE_SIZE:
                agents[member] = agents[members[place // size * size]]
    activity = rng.lognormal(0.0, 1.0, n_users)
    return Visitors(
        client_id=np.array([f"{value:016x}" for value in raw.tolist()]),
        kind=kind,
        persona=persona,
        mobile=mobile,
        user_agent=agents,
        address=address,
        activity=activity / activity.mean(),
        user_id_style=rng.choice(3, n, p=(0.4, 0.2, 0.4)),
    )


def visitors_of(world: World) -> Visitors:
    """The visitors of a world; the same for every day, deployment and traffic seed."""
    return _build(world.seed, world.n_users)
