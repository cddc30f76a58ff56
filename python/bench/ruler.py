"""The project's `dbt run` beside the hand-written script, on the same log in the same run.

Each measured step is a process of its own, imports and start-up included. A cell of the grid is one
run at one size in one form; its ratio is to the script in that run, so that a busy machine slows
both. What is known stands in docs/ruler.json, the tables in docs/bench.md.
"""

import hashlib
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from bench import cells, core, logs
from bench.built_from import without_comments
from bench.cells import Cell, Result
from bench.page import write_page
from bench.process import DBT, measure
from flywheel import variables
from flywheel.errors import FlywheelError
from flywheel.settings import Settings, load_settings
from flywheel.terminal import Terminal

SIZES = {"1e5": 10**5, "1e6": 10**6, "1e7": 10**7, "3e7": 3 * 10**7, "1e8": 10**8}
"""Impressions, by name."""
RUNS = {"1e5": 1, "1e6": 3}
"""How often a size is measured where nobody says; the larger ones once."""
MOST_RUNS = 9
BY_DEFAULT = ("1e6", "1e7")
TOP = 15
"""Nodes in a table."""
FORMS = {"flat": "flat Parquet", "ubi_parquet": "UBI Parquet", "ubi_ndjson": "UBI NDJSON"}
MARK = "<!-- written by python -m bench ruler -->"
MEASURED = (
    *("log_mb", "script_seconds", "script_peak_mb", "script_file_mb"),
    *("seed_seconds", "seconds", "peak_mb", "file_mb", "nodes"),
)
"""What a cell finds; `nodes` are seconds by name of the node."""


@dataclass(frozen=True)
class Bench:
    """Measures cells in a folder; the logs of one size are kept until another is asked for.

    Attributes:
        folder: scratch.
        project: the dbt project.
    """

    folder: Path
    project: Path

    def measure(self, size: str, form: str) -> Result:
        """Seconds, peak memory and file size of the script and of `dbt run` on a log.

        The script is short, and a machine is never quite idle: it runs before the seed, before
        `dbt run` and after it, and the median counts.

        Args:
            size: one of `SIZES`.
            form: one of `FORMS`; the script reads the flat form of the same log.

        Raises:
            FlywheelError: a step failed; the sentence ends with its last line.
        """
        log = self._log(size, form)
        scratch = self.folder / "run"
        shutil.rmtree(scratch, ignore_errors=True)
        settings = Settings(self.project, scratch / "home", scratch / "home" / "warehouse.duckdb")
        settings.home.mkdir(parents=True)

        by_hand = scratch / "core.duckdb"
        script = [sys.executable, "-m", "bench.core", str(self._log(size, "flat")), str(by_hand)]
        scripts = [measure("script", script, settings)]
        script_size = _megabytes(by_hand)

        given = variables.for_log(str(log), "flat" if form == "flat" else "ubi", None)
        common = ["--quiet", "--vars", json.dumps(given), "--project-dir", str(self.project)]
        common += ["--target-path", str(scratch / "target"), "--log-path", str(scratch / "logs")]
        dbt = [sys.executable, "-c", DBT]
        seed_seconds, _ = measure("dbt seed", [*dbt, "seed", *common], settings)
        scripts.append(measure("script", script, settings))
        seconds, peak = measure("dbt run", [*dbt, "run", *common], settings)
        scripts.append(measure("script", script, settings))
        result = {
            "log_mb": _megabytes(log),
            "script_seconds": statistics.median(seconds for seconds, _ in scripts),
            "script_peak_mb": max(peak for _, peak in scripts),
            "script_file_mb": script_size,
            "seed_seconds": seed_seconds,
            "seconds": seconds,
            "peak_mb": peak,
            "file_mb": _megabytes(settings.database),
            "nodes": node_seconds(scratch / "target" / "run_results.json"),
        }
        shutil.rmtree(scratch)
        return result

    def _log(self, size: str, form: str) -> Path:
        """The log of this size and form, written where it is not there yet."""
        folder = self.folder / "logs" / size
        for other in folder.parent.glob("*"):
            if other != folder:
                shutil.rmtree(other)
        done = folder / f"{form}.written"
        if not done.exists():
            log = logs.write_log(folder / form, SIZES[size], form)
            done.write_text(str(log))
        return Path(done.read_text())


def _megabytes(path: Path) -> float:
    """Size of a file, or of all files in a folder, in MB of 10^6 bytes."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6


def node_seconds(run_results: Path) -> dict[str, float]:
    """Seconds of each model, the longest first; two threads run side by side."""
    results = json.loads(run_results.read_text(encoding="utf-8"))["results"]
    spent = {row["unique_id"].rpartition(".")[2]: row["execution_time"] for row in results}
    ordered = sorted(spent.items(), key=lambda item: (-item[1], item[0]))
    return {name: round(seconds, 2) for name, seconds in ordered}


def fingerprint(project: Path) -> str:
    """Of the project's SQL and settings, the script and the logs, without layout and comments."""
    files = [
        project / "dbt_project.yml",
        project / "profiles.yml",
        core.SCRIPT,
        Path(logs.__file__),
    ]
    for folder in ("models", "macros", "seeds"):
        files += sorted([*(project / folder).rglob("*.sql"), *(project / folder).rglob("*.csv")])
    digest = hashlib.sha256()
    for file in files:
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".sql":
            text = without_comments(text)
        digest.update(" ".join([file.name, *text.split()]).encode())
    return digest.hexdigest()[:16]


def grid(bench: Bench, mark: str) -> list[Cell]:
    """Every cell that can be measured: size, form and run.

    Args:
        bench: measures them.
        mark: the fingerprint.
    """
    return [
        Cell(f"{size}/{form}/{number}", mark, partial(bench.measure, size, form))
        for size in SIZES
        for form in FORMS
        for number in range(1, MOST_RUNS + 1)
    ]


def _median(rows: Sequence[Result], name: str) -> float:
    return statistics.median(row[name] for row in rows)


def markdown(found: Mapping[str, Result]) -> str:
    """The tables of what is known, as they stand in docs/bench.md."""
    rows: dict[tuple[str, str], list[Result]] = {}
    for size in SIZES:
        for form in FORMS:
            known = [result for name, result in found.items() if name.startswith(f"{size}/{form}/")]
            if known:
                rows[size, form] = known
    lines = [
        "| impressions | log | log MB | script, s | `dbt run`, s | ratio | script, peak MB "
        "| peak MB | script, file MB | file MB | seed, s | runs |",
        "|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for (size, form), known in rows.items():
        ratio = statistics.median(row["seconds"] / row["script_seconds"] for row in known)
        lines.append(
            f"| {size} | {FORMS[form]} | {_median(known, 'log_mb'):,.0f} "
            f"| {_median(known, 'script_seconds'):.1f} | {_median(known, 'seconds'):.1f} "
            f"| **{ratio:.1f} x** | {_median(known, 'script_peak_mb'):,.0f} "
            f"| {max(row['peak_mb'] for row in known):,.0f} "
            f"| {_median(known, 'script_file_mb'):,.0f} | {_median(known, 'file_mb'):,.0f} "
            f"| {_median(known, 'seed_seconds'):.1f} | {len(known)} |"
        )
    for size in SIZES:
        of_size = {form: known for (other, form), known in rows.items() if other == size}
        if of_size:
            lines += ["", f"Nodes that take longest at {size} impressions, in seconds:", ""]
            lines += _node_lines(of_size)
    return "\n".join(lines)


def _node_lines(of_size: Mapping[str, Sequence[Result]]) -> list[str]:
    """The nodes of one size that take longest in any form, a column a form."""
    spent = {
        form: {
            node: statistics.median(row["nodes"][node] for row in known)
            for node in known[0]["nodes"]
        }
        for form, known in of_size.items()
    }
    longest = {
        node: max(seconds[node] for seconds in spent.values())
        for node in next(iter(spent.values()))
    }
    top = sorted(longest, key=lambda node: (-longest[node], node))[:TOP]
    lines = [
        f"| node | {' | '.join(FORMS[form] for form in spent)} |",
        f"|---|{'--:|' * len(spent)}",
    ]
    for node in top:
        seconds = " | ".join(f"{spent[form][node]:.1f}" for form in spent)
        lines.append(f"| `{node}` | {seconds} |")
    return lines


@click.command()
@click.option(
    "--impressions",
    "sizes",
    multiple=True,
    type=click.Choice(list(SIZES)),
    help="Repeatable; 1e6 and 1e7 by default.",
)
@click.option(
    "--form", "forms", multiple=True, type=click.Choice(list(FORMS)), help="Repeatable; all."
)
@click.option(
    "--runs",
    type=click.IntRange(1, MOST_RUNS),
    help="Of each size and form; 3 at 1e6 and 1 at the larger ones by default.",
)
@click.option("--minutes", default=float("inf"), help="Begin nothing after these.")
@click.option("--write", is_flag=True, help="Put the tables into docs/bench.md.")
def ruler(
    sizes: tuple[str, ...],
    forms: tuple[str, ...],
    runs: int | None,
    minutes: float,
    write: bool,
) -> None:
    """Measure `dbt run` beside the hand-written script; go on where an earlier run was."""
    terminal = Terminal()
    project = load_settings().project
    chosen = {
        f"{size}/{form}/{number}"
        for size in sizes or BY_DEFAULT
        for form in forms or FORMS
        for number in range(1, (runs or RUNS.get(size, 1)) + 1)
    }
    folder = Path(tempfile.mkdtemp(prefix="flywheel-ruler-"))
    try:
        found = cells.run(
            grid(Bench(folder, project), fingerprint(project)),
            project / "docs" / "ruler.json",
            terminal,
            columns=dict.fromkeys(SIZES, MEASURED),
            minutes=minutes,
            wanted=lambda cell: cell.name in chosen,
        )
        tables = f"{os.cpu_count()} cores, DuckDB limited to 2 threads and `FLYWHEEL_MEMORY`.\n\n"
        tables += markdown(found)
        terminal.line()
        terminal.line(tables)
        if missing := sorted(chosen - set(found)):
            terminal.line(f"Not measured yet: {', '.join(missing)}; the same command goes on.")
        if write:
            write_page(project / "docs" / "bench.md", tables, MARK)
    except FlywheelError as error:
        raise SystemExit(f"flywheel: {error}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
