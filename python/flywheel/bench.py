"""`make bench`: time and memory of each step on a simulated log, beside a bare scan of its files,
and the cost of one more day beside that of the day alone.

Every measured run is a process of its own, so that imports and start-up count, as they do for
users. Peak memory is what the kernel accounts to that process (maximum resident set size).
"""

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from flywheel import variables
from flywheel.errors import FlywheelError
from flywheel.settings import Settings, load_settings
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
DBT = "from dbt.cli.main import cli; cli()"


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
    from flywheel.simulator import World, simulate

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
    steps: dict[str, Sequence[str]] = {
        "bare scan": [sys.executable, "-c", SCAN, str(log.folder)],
        "dbt run": [*dbt, "--log-path", str(folder / "logs")],
        "Great Expectations": [sys.executable, "-m", "flywheel", "validate"],
        "training": [sys.executable, "-m", "flywheel", "train"],
    }
    measured: list[Measurement] = []
    layers: list[dict[str, float]] = []
    for name, command in steps.items():
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


def run_increment(
    folder: Path, *, days: int, searches_per_day: int, runs: int, seed: int, terminal: Terminal
) -> dict[str, Any]:
    """Measure one day alone, and the same day added to the days before it.

    Args:
        folder: where logs and warehouses go.
        days: before the day that is added.
        searches_per_day: of humans.
        runs: of each; the median is reported.
        seed: of the simulated world and traffic.
        terminal: where to say what happens.

    Returns:
        Per scope (`daily`: the selector of that name; `everything`): median `seconds` and rows
        written by incremental models, `alone` and `added`, and their ratios.

    Raises:
        FlywheelError: a build failed.
    """
    import duckdb

    from flywheel.simulator import World, simulate

    project = load_settings().project
    world = World(seed=seed)
    with terminal.step("Simulate") as step:
        log = simulate(
            world,
            out_dir=folder / "all",
            days=days + 1,
            searches_per_day=searches_per_day,
            seed=seed,
        )
        last = max(file.name[-17:] for file in log.files)
        for name in ("before", "alone"):
            (folder / name).mkdir()
        for file in log.files:
            name = "alone" if file.name.endswith(last) else "before"
            shutil.copy2(file, folder / name / file.name)
        step.result = f"{days} days and one more, {searches_per_day:,} searches a day"
    found: dict[str, Any] = {"days": days, "searches_per_day": searches_per_day}
    for scope, selection in {"daily": ["--selector", "daily"], "everything": []}.items():
        kept = Settings(project, folder / "kept", folder / "kept" / f"{scope}.duckdb")
        spent = {"alone": [], "added": []}
        rows = {}
        with terminal.step(f"One more day, {scope}") as step:
            _build_models(folder, folder / "before", kept, selection)
            for run in range(2 * runs):
                name = ("alone", "added")[run % 2]
                settings = Settings(project, folder / name, folder / name / "run.duckdb")
                settings.home.mkdir(exist_ok=True)
                settings.database.unlink(missing_ok=True)
                path = folder / "alone"
                if name == "added":
                    shutil.copyfile(kept.database, settings.database)
                    path = folder / "before"
                    for file in (folder / "alone").glob("ubi_*"):
                        shutil.copy2(file, path / file.name)
                spent[name].append(_build_models(folder, path, settings, selection))
                if name == "added":
                    for file in (folder / "alone").glob("ubi_*"):
                        (path / file.name).unlink()
                with duckdb.connect(str(settings.database), read_only=True) as connection:
                    ((rows[name],),) = connection.execute(
                        "select sum(n_rows_written) from flywheel_state.model_builds where "
                        "build_number = (select max(build_number) from flywheel_state.builds)"
                    ).fetchall()
            seconds = {name: statistics.median(times) for name, times in spent.items()}
            found[scope] = {
                "seconds": {name: round(value, 2) for name, value in seconds.items()},
                "rows_written": {name: int(value) for name, value in rows.items()},
                "ratio_seconds": round(seconds["added"] / seconds["alone"], 2),
                "ratio_rows": round(rows["added"] / rows["alone"], 2),
            }
            step.result = f"{found[scope]['ratio_seconds']} x the day alone"
    return found


def _build_models(folder: Path, log: Path, settings: Settings, selection: Sequence[str]) -> float:
    """Seconds of a process that seeds (untimed) and runs the models on a log."""
    settings.home.mkdir(exist_ok=True)
    given = json.dumps(variables.for_log(str(log), "ubi", None))
    common = ["--quiet", "--vars", given, "--project-dir", str(settings.project)]
    common += ["--target-path", str(folder / "target"), "--log-path", str(folder / "logs")]
    measure("seed", [sys.executable, "-c", DBT, "seed", *common], settings)
    return measure("run", [sys.executable, "-c", DBT, "run", *selection, *common], settings)[0]


def measure(
    name: str, command: Sequence[str], settings: Settings, *, code: Path | None = None
) -> tuple[float, float]:
    """Wall seconds and largest resident set, in MB of 10^6 bytes, of a process.

    Args:
        name: of the step, for the message.
        command: of the process.
        settings: paths, which it gets as environment variables.
        code: folder of its Python packages; by default those that run this.

    Raises:
        FlywheelError: it failed; the sentence ends with its last line.
    """
    environment = {
        **os.environ,
        **settings.environment(),
        "FLYWHEEL_PROJECT": str(settings.project),
        "PYTHONPATH": str(code or Path(__file__).parents[1]),
        "NO_COLOR": "1",
    }
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=settings.project, env=environment, stdout=output, stderr=output
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output.seek(0)
            said = output.read().decode(errors="replace").strip().splitlines() or ["nothing"]
            raise FlywheelError(f"The step {name} failed; it said: {said[-1]}")
    scale = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    return seconds, usage.ru_maxrss * scale / 1e6


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


def show_increment(found: Mapping[str, Any], terminal: Terminal) -> None:
    """Print what one more day cost."""
    rows = [
        (
            scope,
            f"{found[scope]['seconds']['alone']:.1f}",
            f"{found[scope]['seconds']['added']:.1f}",
            f"{found[scope]['ratio_seconds']:.2f} x",
            f"{found[scope]['rows_written']['alone']:,}",
            f"{found[scope]['rows_written']['added']:,}",
            f"{found[scope]['ratio_rows']:.2f} x",
        )
        for scope in ("daily", "everything")
    ]
    terminal.line()
    terminal.table(
        f"One day added to {found['days']}, {found['searches_per_day']:,} searches a day",
        [
            ("models", "left"),
            ("day alone, s", "right"),
            ("added, s", "right"),
            ("time", "right"),
            ("rows, alone", "right"),
            ("rows, added", "right"),
            ("rows", "right"),
        ],
        rows,
    )


@click.command()
@click.option("--searches", default=100_000, show_default=True, help="Of humans; each shows 10.")
@click.option("--runs", default=3, show_default=True, help="Of each step; the median counts.")
@click.option("--seed", default=7, show_default=True)
@click.option("--json", "output", type=click.Path(path_type=Path), metavar="FILE")
def main(searches: int, runs: int, seed: int, output: Path | None) -> None:
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


if __name__ == "__main__":
    main()
