"""Time and memory of each step on a simulated log, beside a bare scan of its files."""

import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from bench.increment import run_increment, show_increment
from bench.process import DBT, measure
from flywheel import variables
from flywheel.errors import FlywheelError
from flywheel.settings import Settings, load_settings
from flywheel.simulator import World, simulate
from flywheel.terminal import Terminal

DAYS = 28
PAGE = 10  # documents a search shows
LAYERS = ("staging", "intermediate", "marts")

# What any engine must at least do: read every byte of the log and parse it.
SCAN = """
import sys, duckdb
c = duckdb.connect()
c.execute("set threads = 2")
for kind in ("queries", "events"):
    print(c.execute(
        "select count(*), max(length(cast(columns(*) as varchar))) "
        f"from read_json('{sys.argv[1]}/ubi_{kind}_*.ndjson', format = 'newline_delimited')"
    ).fetchone()[0])
"""


@dataclass(frozen=True)
class Measurement:
    """One step.

    Attributes:
        step: its name.
        seconds: median wall time of the runs.
        slowest_seconds: of the slowest run.
        peak_mb: largest resident set of any run, in MB of 10^6 bytes.
        ratio: seconds over those of the bare scan.
        runs: how often it ran.
    """

    step: str
    seconds: float
    slowest_seconds: float
    peak_mb: float
    ratio: float
    runs: int


def run_bench(
    folder: Path, *, searches: int, runs: int, seed: int, terminal: Terminal
) -> dict[str, Any]:
    """Simulate a log, then measure scan, dbt, Great Expectations and training on it.

    Args:
        folder: where log and warehouse go; some 2 GB for a million impressions.
        searches: of humans, over four weeks.
        runs: of each step; the median is reported.
        seed: of the simulated world and traffic.
        terminal: where to say what happens.

    Returns:
        `log` (sizes), `machine`, `steps` (measurements) and `layers` (node seconds of dbt).

    Raises:
        FlywheelError: a step failed; the sentence ends with its last line.
    """
    project = load_settings().project
    settings = Settings(project, folder / "home", folder / "home" / "warehouse.duckdb")
    settings.home.mkdir(parents=True, exist_ok=True)
    with terminal.step("Simulate") as step:
        world = World(seed=seed)
        log = simulate(
            world,
            out_dir=folder / "log",
            days=DAYS,
            searches_per_day=max(1, searches // DAYS),
            seed=seed,
        )
        features = world.write_features(folder / "ranking_features.parquet")
        n_bytes = sum(file.stat().st_size for file in log.files)
        n_searches = log.n_searches
        step.result = f"{n_searches:,} searches, {n_bytes / 1e6:,.0f} MB of NDJSON"
    given = json.dumps(variables.for_log(str(log.folder), "ubi", str(features)))
    target = folder / "target"
    # `dbt run` and the seed it reads: a build without tests.
    dbt = [sys.executable, "-c", DBT, "build", "--resource-type", "model", "--resource-type"]
    dbt += ["seed", "--quiet", "--vars", given]
    dbt += ["--project-dir", str(project), "--target-path", str(target)]
    commands: dict[str, Sequence[str]] = {
        "bare scan": [sys.executable, "-c", SCAN, str(log.folder)],
        "dbt run": [*dbt, "--log-path", str(folder / "logs")],
        "Great Expectations": [sys.executable, "-m", "flywheel", "validate"],
        "training": [sys.executable, "-m", "flywheel", "train"],
    }
    measured: list[Measurement] = []
    layers: list[dict[str, float]] = []
    for name, command in commands.items():
        with terminal.step(name) as step:
            outcomes = []
            for _ in range(runs):
                if name == "dbt run":
                    settings.database.unlink(missing_ok=True)
                outcomes.append(measure(name, command, settings))
                if name == "dbt run":
                    layers.append(_layer_seconds(target / "run_results.json"))
            seconds = statistics.median(o[0] for o in outcomes)
            scan = measured[0].seconds if measured else seconds
            measured.append(
                Measurement(
                    step=name,
                    seconds=round(seconds, 2),
                    slowest_seconds=round(max(o[0] for o in outcomes), 2),
                    peak_mb=round(max(o[1] for o in outcomes)),
                    ratio=round(seconds / scan, 1),
                    runs=runs,
                )
            )
            step.result = f"{seconds:.1f} s"
    return {
        "log": {
            "n_searches": n_searches,
            "n_impressions": n_searches * PAGE,
            "n_clicks": log.n_clicks,
            "n_bytes": n_bytes,
            "days": DAYS,
            "seed": seed,
        },
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "steps": [asdict(m) for m in measured],
        "layers": {
            layer: round(statistics.median(run[layer] for run in layers), 2) for layer in LAYERS
        },
    }


def _layer_seconds(run_results: Path) -> dict[str, float]:
    """Execution time of dbt's nodes by layer, summed over its threads."""
    totals = dict.fromkeys(LAYERS, 0.0)
    manifest = json.loads(run_results.with_name("manifest.json").read_text(encoding="utf-8"))
    for result in json.loads(run_results.read_text(encoding="utf-8"))["results"]:
        layer = manifest["nodes"].get(result["unique_id"], {"fqn": ["", ""]})["fqn"][1]
        if layer in totals:
            totals[layer] += result["execution_time"]
    return totals


def show(found: Mapping[str, Any], terminal: Terminal) -> None:
    """Print the result as a table."""
    log = found["log"]
    rows = [
        (
            s["step"],
            f"{s['seconds']:.1f}",
            f"{s['slowest_seconds']:.1f}",
            f"{s['ratio']:.1f} x",
            f"{s['peak_mb']:,.0f}",
        )
        for s in found["steps"]
    ]
    rows[2:2] = [
        (f"  nodes of {layer}", f"{seconds:.1f}", "", "", "")
        for layer, seconds in found["layers"].items()
    ]
    terminal.line()
    terminal.table(
        f"{log['n_impressions']:,} impressions, {log['n_clicks']:,} clicks, "
        f"{log['n_bytes'] / 1e6:,.0f} MB; median of {found['steps'][0]['runs']} runs on "
        f"{found['machine']['cores']} cores",
        [
            ("step", "left"),
            ("seconds", "right"),
            ("slowest", "right"),
            ("of the scan", "right"),
            ("peak MB", "right"),
        ],
        rows,
    )


@click.command()
@click.option("--searches", default=100_000, show_default=True, help="Of humans; each shows 10.")
@click.option("--runs", default=3, show_default=True, help="Of each step; the median counts.")
@click.option("--seed", default=7, show_default=True)
@click.option("--json", "output", type=click.Path(path_type=Path), metavar="FILE")
def steps(searches: int, runs: int, seed: int, output: Path | None) -> None:
    """Measure scan, dbt run, Great Expectations and training on a simulated log."""
    terminal = Terminal()
    folder = Path(tempfile.mkdtemp(prefix="flywheel-bench-"))
    try:
        found = run_bench(
            folder / "whole", searches=searches, runs=runs, seed=seed, terminal=terminal
        )
        found["increment"] = run_increment(
            folder / "increment",
            days=30,
            searches_per_day=max(1, searches // 30),
            runs=runs,
            seed=seed,
            terminal=terminal,
        )
    except FlywheelError as error:
        raise SystemExit(f"flywheel: {error}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    show(found, terminal)
    show_increment(found["increment"], terminal)
    if output is not None:
        output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
