"""`make bench-decisions`: how often the loop decides rightly, in worlds whose truth is known.

Three parts, all through the project's own SQL: the gate's verdicts on challengers, the examination
by rank that it rests on, and canaries that change nothing or something. What a cell of the grid
found is kept as soon as it is known, with a fingerprint of all it depends on, so that a run that
was interrupted goes on where it was, and a change of the SQL measures anew what it touches.
"""

import hashlib
import inspect
import re
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import click
import duckdb
import numpy as np

import bench.cells
import propensity_worlds
import verdict_worlds
from bench import bots as bench_bots
from bench import canary as bench_canary
from bench.canary import Scenario
from bench.cells import Cell, Result
from bench.page import write_page
from flywheel.errors import FlywheelError
from flywheel.settings import load_settings
from flywheel.terminal import Terminal

MARK = "<!-- written by make bench-decisions -->"
COMMAND = "make bench-decisions"

RESULTS = {
    "gate": ("truth", "estimate", "ci_low", "ci_high", "support", "verdict"),
    "propensities": ("error", "power_law_error", "intervals", "covered"),
    "canary": ("experiments", "promoted", "rolled_back", "within_two_looks", "canary_users"),
}
"""What a cell of each part finds."""


# The gate

WORLDS = 12
PAIRS = 88
"""Further worlds whose challenger is exchangeable with the champion."""
GAIN_WORTH = 0.02
"""Relative gain in clicks that one would like the gate to see."""
KINDS = {
    "blend": "blend of the champion with something new",
    "independent": "another, as good",
    "noisy_copy": "the champion with noise",
    "from_below": "brings good documents from below",
    "junk": "brings junk from below",
}


def gate_cell(kind: str, seed: int, **world: Any) -> Result:
    """The verdict on one challenger, beside the truth."""
    made = verdict_worlds.verdict_world(kind, seed, **world)
    row = verdict_worlds.verdict(made)
    return {
        "truth": made.truth,
        "estimate": row["relative_delta"],
        "ci_low": row["relative_delta_ci_low"],
        "ci_high": row["relative_delta_ci_high"],
        "support": row["support"],
        "verdict": row["verdict"],
    }


# The propensities

LOGS = 12


class LogWorld(NamedTuple):
    """What a world of `propensity_worlds` is, and how its logs are looked at."""

    words: str
    world: str
    context: str = "0"
    searches: int = 10_000


LOG_WORLDS = {
    "mixed": LogWorld("each search ranked with noise of its own", "mixed"),
    "shuffled": LogWorld("5 % of searches in random order", "shuffled"),
    "similar": LogWorld("two similar rankers by turns", "similar"),
    "devices": LogWorld("mobile, in a log with desktop", "devices", context="1"),
    "in_turn": LogWorld("a ranker a day, named after it", "in_turn"),
    "large": LogWorld("the first, a million impressions", "mixed", searches=100_000),
}


def propensity_cell(name: str, seed: int, searches: int | None = None) -> Result:
    """Errors of the curve in use at ranks 2 to 10, and how often its intervals hold the truth."""
    _, world, context, usual = LOG_WORLDS[name]
    project = verdict_worlds.project()
    with duckdb.connect() as connection:
        connection.execute("set threads = 2")
        log = propensity_worlds.standard_log(seed, world, searches=searches or usual)
        propensity_worlds.load(connection, log)
        project.build(connection, *propensity_worlds.MODELS)
        rows = propensity_worlds.active_curve(connection, context)[1:]
    truth = propensity_worlds.log_examination(context)
    true = np.array([truth[row[0] - 1] for row in rows])
    assumed = -project.variable("propensity_alpha") * np.log([row[0] for row in rows])
    limits = [
        (np.log(row[2:4]), at) for row, at in zip(rows, true, strict=True) if row[2] is not None
    ]
    return {
        "error": float(np.mean(np.abs(np.log([row[1] for row in rows]) - true))),
        "power_law_error": float(np.mean(np.abs(assumed - true))),
        "intervals": len(limits),
        "covered": sum(bool(low <= at <= high) for (low, high), at in limits),
    }


# The canary


def _known(scenarios: Sequence[Scenario], *names: str) -> list[Scenario]:
    return [scenario for scenario in scenarios if scenario.name in names]


NOTHING = _known(bench_canary.NOTHING, "as most sites", "heavy tail, sigma 2")
HARM = _known(bench_canary.HARM, "2,000 canary users a day")
GAIN = _known(bench_canary.GAIN, "3,000 users, 5%", "3,000 users, 50%", "20,000 users, 5%")
CANARIES = (
    *(("nothing", scenario, 600) for scenario in NOTHING),
    *(("harm", scenario, 200) for scenario in HARM),
    *(("gain", scenario, 300) for scenario in GAIN),
)
"""Row of the table, scenario and experiments."""


@cache
def canary_rule() -> dict[str, str]:
    """SQL of the models that decide on a canary."""
    return {name: verdict_worlds.project().model(name) for name in bench_canary.RULE}


def canary_cell(scenario: Scenario, experiments: int, seed: int) -> Result:
    """How many canaries of the scenario were promoted and rolled back."""
    found = bench_canary.replay(scenario, experiments, seed, canary_rule())
    counted = {
        name: round(getattr(found, name) * experiments)
        for name in ("promoted", "rolled_back", "within_two_looks")
    }
    return {"experiments": experiments, **counted, "canary_users": found.canary_users}


# The grid


def _fingerprint(models: Sequence[str], *more: Any) -> str:
    """Of the models' SQL without comments and layout, and of sources and settings."""
    project = verdict_worlds.project()
    sql = "\n".join(project.model(name) for name in models)
    words = " ".join(re.sub(r"--[^\n]*", "", sql).split())
    return hashlib.sha256("\n".join([words, *map(str, more)]).encode()).hexdigest()[:16]


def grid() -> list[Cell]:
    """Every cell of the benchmark, in the order in which they are measured."""
    source = inspect.getsource
    gate = _fingerprint(verdict_worlds.MODELS, source(verdict_worlds), source(gate_cell))
    log = _fingerprint(propensity_worlds.MODELS, source(propensity_worlds), source(propensity_cell))
    canary = _fingerprint(bench_canary.RULE, source(bench_canary), source(canary_cell))
    challengers = [
        *((kind, kind, seed) for seed in range(WORLDS) for kind in KINDS),
        *(("pairs", "independent", WORLDS + number) for number in range(PAIRS)),
    ]
    return [
        *(
            Cell(f"gate/{row}/{seed}", gate, partial(gate_cell, kind, seed))
            for row, kind, seed in challengers
        ),
        *(
            Cell(f"propensities/{world}/{seed}", log, partial(propensity_cell, world, seed))
            for seed in range(LOGS)
            for world in LOG_WORLDS
        ),
        *(
            Cell(
                f"canary/{row}/{seed}",
                hashlib.sha256(f"{canary} {scenario} {experiments}".encode()).hexdigest()[:16],
                partial(canary_cell, scenario, experiments, seed),
            )
            for seed, (row, scenario, experiments) in enumerate(CANARIES)
        ),
    ]


def known(
    results: Path, cells: Sequence[Cell], columns: Mapping[str, Sequence[str]] = RESULTS
) -> dict[str, Result]:
    """What an earlier run has found of these cells (`bench.cells.known`)."""
    return bench.cells.known(results, cells, columns)


def run(
    cells: Sequence[Cell],
    results: Path,
    terminal: Terminal,
    *,
    minutes: float = float("inf"),
    only: str | None = None,
    columns: Mapping[str, Sequence[str]] = RESULTS,
) -> dict[str, Result]:
    """Measure the cells that are not known yet (`bench.cells.run`), of one part or of all."""
    return bench.cells.run(
        cells,
        results,
        terminal,
        columns=columns,
        minutes=minutes,
        wanted=lambda cell: only in (None, cell.part),
    )


# The tables


def _percent(value: float, digits: int = 1) -> str:
    return f"{100 * value:+.{digits}f} %"


def _share(hits: Sequence[int], trials: Sequence[int]) -> str:
    """A share with its 95 % interval; what is alike within a cluster counts as such."""
    share, low, high = (100 * value for value in bench_bots.interval(hits, trials))
    return f"{share:.1f} % ({low:.1f} to {high:.1f})" if sum(trials) else ""


def _of(found: Mapping[str, Result], row: str) -> list[Result]:
    return [result for name, result in found.items() if name.rpartition("/")[0] == row]


def is_wrong(row: Result) -> bool:
    """Whether a verdict says the opposite of the truth; `unsupported` says nothing."""
    return (row["verdict"] == "better" and row["truth"] <= 0) or (
        row["verdict"] == "not_better" and row["truth"] > 0
    )


def _holds(row: Result) -> bool:
    return bool(row["ci_low"] <= row["truth"] <= row["ci_high"])


def gate_lines(found: Mapping[str, Result]) -> list[str]:
    """The table of verdicts, and what is said of all of them."""
    lines = [
        "| challenger | worlds | true clicks | estimate | mean interval | support | `better` "
        "| `unsupported` | `not_better` | wrong | interval holds the truth |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for kind, name in (KINDS | {"pairs": "another, as good: further pairs"}).items():
        rows = _of(found, f"gate/{kind}")
        if not rows:
            continue
        mean = {
            column: float(np.mean([row[column] for row in rows]))
            for column in ("truth", "estimate", "ci_low", "ci_high", "support")
        }
        verdicts = [row["verdict"] for row in rows]
        counts = " | ".join(
            str(verdicts.count(verdict)) for verdict in ("better", "unsupported", "not_better")
        )
        lines.append(
            f"| {name} | {len(rows)} | {_percent(mean['truth'])} | {_percent(mean['estimate'])} "
            f"| {_percent(mean['ci_low'], 0)} to {_percent(mean['ci_high'], 0)} "
            f"| {100 * mean['support']:.0f} % | {counts} | {sum(map(is_wrong, rows))} "
            f"| {sum(map(_holds, rows))} |"
        )
    kinds = [row for kind in KINDS for row in _of(found, f"gate/{kind}")]
    pairs = _of(found, "gate/independent") + _of(found, "gate/pairs")
    everything = kinds + _of(found, "gate/pairs")
    lines.append("")
    if len(kinds) > 1:
        points, truths = ([row[name] for row in kinds] for name in ("estimate", "truth"))
        lines += [
            f"- Correlation of estimate and truth over the {len(kinds)} worlds of five kinds: "
            f"{np.corrcoef(points, truths)[0, 1]:.2f}.",
        ]
    gains = [int(row["verdict"] == "better") for row in everything if row["truth"] >= GAIN_WORTH]
    if gains:
        lines.append(
            f"- Challengers that gain {GAIN_WORTH:.0%} or more called `better`: "
            f"{sum(gains)} of {len(gains)}, {_share(gains, [1] * len(gains))}."
        )
    if pairs:
        ones = [1] * len(pairs)
        errors = [int(row["verdict"] == "better") for row in pairs]
        lines += [
            f"- Challengers exchangeable with the champion called `better`: "
            f"{sum(errors)} of {len(pairs)}, {_share(errors, ones)}.",
            f"- Wrong verdicts: {sum(map(is_wrong, everything))} of {len(everything)}.",
            f"- Intervals that hold the truth: "
            f"{_share([int(_holds(row)) for row in everything], [1] * len(everything))}.",
        ]
    return lines


def propensity_lines(found: Mapping[str, Result]) -> list[str]:
    """The table of examination by rank."""
    lines = [
        "| log | logs | mean error of the curve in use | worst log | of `propensity_alpha` alone "
        "| intervals | of these hold the truth |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for world, (words, *_) in LOG_WORLDS.items():
        rows = _of(found, f"propensities/{world}")
        if not rows:
            continue
        errors = [row["error"] for row in rows]
        lines.append(
            f"| {words} | {len(rows)} | {np.mean(errors):.3f} | {max(errors):.3f} "
            f"| {np.mean([row['power_law_error'] for row in rows]):.3f} "
            f"| {sum(row['intervals'] for row in rows)} of {9 * len(rows)} | {_coverage(rows)} |"
        )
    everything = [row for world in LOG_WORLDS for row in _of(found, f"propensities/{world}")]
    if everything:
        of_all = f"- Intervals of all {len(everything)} logs that hold the truth: "
        lines += ["", f"{of_all}{_coverage(everything)}."]
    return lines


def _coverage(logs: Sequence[Result]) -> str:
    """Share of the logs' intervals that hold the truth; a log without one says nothing."""
    some = [row for row in logs if row["intervals"]]
    return _share([row["covered"] for row in some], [row["intervals"] for row in some])


def canary_lines(found: Mapping[str, Result]) -> list[str]:
    """The table of canaries."""
    lines = [
        "| canary | CTR | clicks | users, days | experiments | promoted | rolled back "
        "| within two looks |",
        "|---|--:|--:|---|--:|--:|--:|--:|",
    ]
    for seed, (row, scenario, _) in enumerate(CANARIES):
        result = found.get(f"canary/{row}/{seed}")
        if result is None:
            continue
        n = result["experiments"]
        promoted, back, soon = (
            _share([1] * result[name] + [0] * (n - result[name]), [1] * n)
            for name in ("promoted", "rolled_back", "within_two_looks")
        )
        lines.append(
            f"| {scenario.name} | {scenario.ctr} | {scenario.lift:+.0%} "
            f"| {scenario.users:,}, {scenario.days} | {n} | {promoted} | {back} | {soon} |"
        )
    return lines


def markdown(cells: Sequence[Cell], found: Mapping[str, Result]) -> str:
    """What stands between the marks of docs/decisions-bench.md."""
    missing = [cell.row for cell in cells if cell.name not in found]
    lines = [
        *("### Verdicts", "", *gate_lines(found), ""),
        *("### Examination by rank", "", *propensity_lines(found), ""),
        *("### Canaries", "", *canary_lines(found)),
    ]
    if missing:
        rows = ", ".join(f"{row} {missing.count(row)}" for row in dict.fromkeys(missing))
        lines += ["", f"Not measured yet: {rows}. `{COMMAND}` goes on with them."]
    return "\n".join(lines) + "\n"


@click.command()
@click.option(
    "--only", type=click.Choice(list(RESULTS)), help="One part; the others stay as they are."
)
@click.option("--minutes", default=float("inf"), help="Begin no cell after these.")
@click.option("--write", is_flag=True, help="Put the tables into docs/decisions-bench.md.")
def main(only: str | None, minutes: float, write: bool) -> None:
    """Measure what the gate, the propensities and the canary decide, against known truth."""
    terminal = Terminal()
    docs = load_settings().project / "docs"
    try:
        cells = grid()
        results = docs / "decisions-bench.json"
        found = run(cells, results, terminal, minutes=minutes, only=only)
        tables = markdown(cells, found)
        terminal.line()
        terminal.line(tables)
        if write:
            write_page(docs / "decisions-bench.md", tables, MARK)
    except FlywheelError as error:
        raise SystemExit(f"flywheel: {error}") from None


if __name__ == "__main__":
    main()
