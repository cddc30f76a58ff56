"""`flywheel demo --seeds N`: do the demo's claims hold in other worlds too?

Turns both loops of the demo once per seed and holds the outcome against what only the simulator
knows: true nDCG@10, true propensities, who is a bot.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from flywheel.demo import read_outcome
from flywheel.errors import FlywheelError
from flywheel.settings import Settings
from flywheel.terminal import Terminal
from flywheel.warehouse import connect


def check_seeds(
    settings: Settings, *, first: int, n_seeds: int, turns: int, terminal: Terminal
) -> dict[str, Any]:
    """Run the demo's two loops in several worlds.

    Returns:
        `seeds`, one entry a world, and how often each claim held.

    Raises:
        FlywheelError: a loop failed; its output is named.
    """
    root = settings.home / "seeds"
    shutil.rmtree(root, ignore_errors=True)
    found = []
    for seed in range(first, first + n_seeds):
        with terminal.step(f"Seed {seed}") as step:
            entry = _one_world(root / str(seed), seed, turns)
            found.append(entry)
            step.result = (
                f"true nDCG@10 {entry['production']:.4f} production, {entry['raw_clicks']:.4f} raw "
                f"clicks, {entry['flywheel']:.4f} flywheel; {entry['estimator']}, "
                f"{entry['ranks_covered']} of {entry['ranks']} ranks covered; bots precision "
                f"{entry['bot_precision']:.3f}, least recall of a kind "
                f"{entry['least_bot_recall']:.3f}"
            )
    summary = {
        "seeds": found,
        "flywheel_above_raw_clicks": sum(e["flywheel"] > e["raw_clicks"] for e in found),
        "raw_clicks_above_production": sum(e["raw_clicks"] > e["production"] for e in found),
        "ranks_covered": sum(e["ranks_covered"] for e in found),
        "ranks": sum(e["ranks"] for e in found),
        "deployments": sum(e["deployments"] for e in found),
        "predictions_right": sum(e["predictions_right"] for e in found),
        "observations_right": sum(e["observations_right"] for e in found),
        "least_bot_precision": min(e["bot_precision"] for e in found),
        "least_bot_recall": min(e["least_bot_recall"] for e in found),
    }
    terminal.line()
    terminal.line(
        f"Flywheel above raw clicks in {summary['flywheel_above_raw_clicks']} of {n_seeds} worlds, "
        f"raw clicks above production in {summary['raw_clicks_above_production']}; "
        f"{summary['ranks_covered']} of {summary['ranks']} propensities within their intervals; "
        f"of {summary['deployments']} deployments the true difference in clicks is within the "
        f"predicted interval in {summary['predictions_right']}, within the observed one in "
        f"{summary['observations_right']}."
    )
    return summary


def _one_world(home: Path, seed: int, turns: int) -> dict[str, Any]:
    loops = {}
    for name in ("flywheel", "raw_clicks"):
        folder = home / name
        folder.mkdir(parents=True)
        environment = {
            **os.environ,
            "FLYWHEEL_HOME": str(folder),
            "FLYWHEEL_DB": str(folder / "warehouse.duckdb"),
        }
        with (folder / "output.txt").open("wb") as output:
            loops[name] = subprocess.Popen(
                [sys.executable, "-m", "flywheel.demo", str(seed), str(turns), name],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
    for name, loop in loops.items():
        if loop.wait() != 0:
            raise FlywheelError(f"The {name} loop failed; see {home / name / 'output.txt'}.")
    outcomes = {name: read_outcome(home / name) for name in loops}
    deployed = [
        turn for turn in outcomes["flywheel"]["turns"] if turn["true_clicks_delta"] is not None
    ]
    measured = _against_the_truth(home / "flywheel", outcomes["flywheel"]["propensities"])
    shutil.rmtree(home, ignore_errors=True)
    return {
        "seed": seed,
        "production": outcomes["flywheel"]["production_ndcg"],
        **{name: outcomes[name]["turns"][-1]["champion_true_ndcg"] for name in loops},
        "verdicts": [turn["verdict"] or turn["status"] for turn in outcomes["flywheel"]["turns"]],
        "deployments": len(deployed),
        "predictions_right": sum(_holds(turn, "offline") for turn in deployed),
        "observations_right": sum(_holds(turn, "observed") for turn in deployed),
        **measured,
    }


def _holds(turn: dict[str, Any], side: str) -> bool:
    """Whether an interval of the ledger holds the true difference in clicks of a turn's canary."""
    said = turn[side]
    if said is None:
        return False
    low, high = said["relative_delta_ci_low"], said["relative_delta_ci_high"]
    return low <= turn["true_clicks_delta"] <= high


def _against_the_truth(home: Path, propensities: list[float]) -> dict[str, Any]:
    settings = Settings(project=home, home=home, database=home / "warehouse.duckdb")
    with connect(settings) as connection:
        curve = connection.execute(
            """
            select rank, propensity, ci_low, ci_high, estimator from fct_position_propensities
            where is_active and is_identified and rank between 2 and 10 order by rank
            """
        ).fetchall()
        bots = connection.execute(
            """
            select truth.kind, count(*), count(*) filter (where searches.is_bot)
            from fct_searches as searches
            inner join read_parquet(?) as truth on searches.user_id = truth.client_id
            group by truth.kind
            """,
            [str(home / "truth" / "visitors.parquet")],
        ).fetchall()
    flagged = sum(row[2] for row in bots)
    right = sum(row[2] for row in bots if row[0] != "human")
    return {
        "estimator": curve[0][4] if curve else "none identified",
        "ranks": len(curve),
        "ranks_covered": sum(
            low <= propensities[rank - 1] <= high for rank, _, low, high, _ in curve
        ),
        "bot_precision": right / flagged if flagged else 1.0,
        "least_bot_recall": min(
            (row[2] / row[1] for row in bots if row[0] != "human"), default=1.0
        ),
    }
