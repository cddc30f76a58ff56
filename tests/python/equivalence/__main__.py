"""`make test-equivalence`: the whole proof, and what it found as a table."""

import shutil
import sys
import tempfile
from pathlib import Path

import click

from equivalence.cases import SmallLogs, Tally
from equivalence.large import CASE, LARGE_SCHEDULES, LargeCase
from equivalence.schedules import ONE_FILE, SCHEDULES
from flywheel.terminal import Terminal

PARTS = ("ubi", "flat", "large")


def prove(
    scratch: Path,
    terminal: Terminal,
    *,
    parts: tuple[str, ...],
    schedules: tuple[str, ...],
    examples: int,
    seed: int,
    allow_last_bits: bool,
) -> list[Tally]:
    """Run the cases and say what each of them found."""
    tallies: list[Tally] = []
    wanted = schedules or (*SCHEDULES, *LARGE_SCHEDULES, ONE_FILE)
    for log_format in [part for part in parts if part != "large"]:
        small = SmallLogs(log_format, scratch / log_format, allow_last_bits=allow_last_bits)
        with terminal.step(f"Record {log_format}") as step:
            small.record()
            step.result = "the statements that dbt executes"
        for schedule in (*SCHEDULES, ONE_FILE):
            if schedule in wanted:
                with terminal.step(f"{log_format}, {schedule}") as step:
                    tallies.append(small.prove(schedule, examples, seed))
                    step.result = _outcome(tallies[-1])
    if "large" in parts:
        with terminal.step("Simulate") as step:
            large = LargeCase(scratch / "large", allow_last_bits=allow_last_bits, seed=seed)
            step.result = f"{len(large.files)} files"
        with terminal.step("Rebuild") as step:
            tables = large.rebuild()
            step.result = f"{tables['fct_impressions'].num_rows:,} impressions"
        for schedule in (*LARGE_SCHEDULES, ONE_FILE):
            if schedule in wanted:
                with terminal.step(f"{CASE}, {schedule}") as step:
                    tallies.append(large.prove(schedule))
                    step.result = _outcome(tallies[-1])
    return tallies


def _outcome(tally: Tally) -> str:
    if tally.error:
        return "could not be built"
    words = f"{tally.n_runs} runs, {sum(tally.n_rows.values()):,} rows, "
    return words + (f"{len(tally.wrong)} tables differ" if tally.wrong else "no difference")


def show(tallies: list[Tally], terminal: Terminal) -> bool:
    """Print the table and the differences; True if there are none."""
    groups = list(dict.fromkeys(group for tally in tallies for group in tally.n_rows))
    terminal.line()
    terminal.table(
        "Rows compared with a rebuild, both ways, by group of tables",
        [
            ("case", "left"),
            ("arrival", "left"),
            *[(name, "right") for name in ("logs", "runs", *groups, "differences", "seconds")],
        ],
        [
            (
                tally.case,
                tally.schedule,
                f"{tally.n_cases}",
                f"{tally.n_runs}",
                *[f"{tally.n_rows.get(group, 0):,}" for group in groups],
                "error" if tally.error else f"{sum(d.n_left + d.n_right for d in tally.wrong)}",
                f"{tally.seconds:.0f}",
            )
            for tally in tallies
        ],
    )
    for tally in tallies:
        if not tally.is_good:
            terminal.line(f"\n{tally.case}, {tally.schedule}: not equal to the rebuild")
            for text in (tally.error, tally.failing, *[d.sentence() for d in tally.wrong]):
                if text:
                    terminal.line(text)
    bits = sorted({text for tally in tallies for text in tally.last_bits})
    if bits:
        terminal.line("\nDoubles that differ in their last bits: " + ", ".join(bits))
    n_wrong = sum(not tally.is_good for tally in tallies)
    n_rows = sum(sum(tally.n_rows.values()) for tally in tallies)
    n_cases = sum(tally.n_cases for tally in tallies)
    terminal.line(
        f"\n{n_cases:,} cases, {n_rows:,} rows compared, "
        + (f"{n_wrong} schedules with differences" if n_wrong else "zero differences")
    )
    return n_wrong == 0


@click.command()
@click.option("--examples", default=12, show_default=True, help="Small logs for each schedule.")
@click.option("--seed", default=0, show_default=True)
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), help="Default: all.")
@click.option("--schedule", "schedules", multiple=True, help="By name. Default: all.")
@click.option("--allow-last-bits", is_flag=True, help="Let doubles differ by less than 1e-12.")
def main(
    examples: int,
    seed: int,
    parts: tuple[str, ...],
    schedules: tuple[str, ...],
    allow_last_bits: bool,
) -> None:
    """Build logs in many ways, and compare each with a rebuild, row by row."""
    terminal = Terminal()
    scratch = Path(tempfile.mkdtemp(prefix="flywheel-equivalence-"))
    try:
        tallies = prove(
            scratch,
            terminal,
            parts=parts or PARTS,
            schedules=schedules,
            examples=examples,
            seed=seed,
            allow_last_bits=allow_last_bits,
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    sys.exit(not show(tallies, terminal))


if __name__ == "__main__":
    main()
