"""A small simulated shop for the end-to-end tests, with texts in it that mean harm."""

import datetime as dt
from pathlib import Path

import numpy as np

from flywheel.serving import Deployment
from flywheel.settings import Settings
from flywheel.simulator import World, simulate, to_flat

PROJECT = Path(__file__).parents[2]
SCRIPT = "<script>alert(1)</script>"
IMAGE = "<img src=x onerror=alert(2)>"
HOSTILE = (
    SCRIPT,
    "'); drop table fct_searches; --",
    "{{ 1 / 0 }} {% raw %}",
    'a "quoted" \\ word\'s %s $1 ?',
)
"""Lower case, single spaces: their own normal form. They are among the most frequent queries."""
FIRST_DAY = "2026-01-05"
DAYS = 14
TRAFFIC = {"searches_per_day": 150, "seed": 7, "randomised_share": 0.15}


def small_world() -> World:
    """60 queries with 15 documents, 200 users; some queries and a document are hostile."""
    world = World(seed=7, n_queries=60, docs_per_query=15, n_users=200, n_features=8)
    queries = [*HOSTILE, *world.queries[len(HOSTILE) :].tolist()]
    doc_ids = world.doc_ids.astype("U40")
    doc_ids[doc_ids == doc_ids[0, world.production_order[0, 0]]] = IMAGE
    object.__setattr__(world, "queries", np.array(queries))
    object.__setattr__(world, "doc_ids", doc_ids)
    return world


def write_ubi(
    world: World,
    folder: Path,
    *,
    deployment: Deployment | None = None,
    days: int = DAYS,
    start: str = FIRST_DAY,
) -> Path:
    """UBI files of some days, a file each; the truth goes beside the folder."""
    return simulate(
        world, deployment, out_dir=folder, days=days, start_date=start, **TRAFFIC
    ).folder


def write_flat(
    world: World, path: Path, *, columns: tuple[str, ...] = (), days: int = DAYS
) -> Path:
    """A flat log, by default of the six required columns alone."""
    first = dt.date.fromisoformat(FIRST_DAY)
    return to_flat(world, output=path, columns=columns, days=days, start_date=first, **TRAFFIC)


def settings_of(home: Path) -> Settings:
    """The settings that the `flywheel` command has in this home folder."""
    return Settings(project=PROJECT, home=home, database=home / "warehouse.duckdb")
