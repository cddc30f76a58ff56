"""The cost of one more day beside that of the day alone."""

import json
import shutil
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from bench.process import DBT, measure
from flywheel import variables
from flywheel.settings import Settings, load_settings
from flywheel.simulator import World, simulate
from flywheel.terminal import Terminal


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


def _build_models(folder: Path, log: Path, settings: Settings, selection: Sequence[str]) -> float:
    """Seconds of a process that seeds (untimed) and runs the models on a log."""
    settings.home.mkdir(exist_ok=True)
    given = json.dumps(variables.for_log(str(log), "ubi", None))
    common = ["--quiet", "--vars", given, "--project-dir", str(settings.project)]
    common += ["--target-path", str(folder / "target"), "--log-path", str(folder / "logs")]
    measure("seed", [sys.executable, "-c", DBT, "seed", *common], settings)
    return measure("run", [sys.executable, "-c", DBT, "run", *selection, *common], settings)[0]
