"""Simulated search traffic with a known truth: users, robots, clicks, and what was worth clicking.

world = World(seed=7)
simulate(world, None, out_dir="logs", days=30)
world.write_features("ranking_features.parquet")
world.true_ndcg(world.production_order)
"""

from flywheel.simulator.sample import sample_plan, sample_world, write_sample_log
from flywheel.simulator.traffic import (
    DEFAULT_START,
    DayTraffic,
    Plan,
    page_orders,
    simulate_days,
)
from flywheel.simulator.visitors import BOT_KINDS, PERSONAS, Visitors, visitors_of
from flywheel.simulator.world import World
from flywheel.simulator.writers import (
    FLAT_OPTIONAL,
    FLAT_REQUIRED,
    Simulation,
    simulate,
    to_flat,
    write_truth,
)

__all__ = [
    "BOT_KINDS",
    "DEFAULT_START",
    "FLAT_OPTIONAL",
    "FLAT_REQUIRED",
    "PERSONAS",
    "DayTraffic",
    "Plan",
    "Simulation",
    "Visitors",
    "World",
    "page_orders",
    "sample_plan",
    "sample_world",
    "simulate",
    "simulate_days",
    "to_flat",
    "visitors_of",
    "write_sample_log",
    "write_truth",
]
