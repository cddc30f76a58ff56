"""The parts of the proof, and what they found as a table."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from equivalence.cases import SmallLogs, Tally
from equivalence.large import CASE, LARGE_SCHEDULES, LargeCase
from equivalence.schedules import ONE_FILE, SCHEDULES
from flywheel.terminal import Terminal

PARTS = ("large", "ubi", "flat")


@dataclass(frozen=True)
class Options:
    """What to prove, and how hard.

    Attributes:
        examples: small logs for each schedule.
        seed: of logs and schedules.
        schedules: names; empty means all.
        allow_last_bits: let doubles differ by less than 1e-12.
    """

    examples: int
    seed: int
    schedules: tuple[str, ...]
    allow_last_bits: bool

    def wanted(self, names: Iterable[str]) -> list[str]:
        """Those of the names that were asked for."""
        return [name for name in names if not self.schedules or name in self.schedules]


def prove(part: str, scratch: Path, options: Options) -> list[Tally]:
    """Run the cases of one part and say what each of them found."""
    terminal = Terminal()
    tallies: list[Tally] = []
    if part == "large":
        large = LargeCase(scratch, allow_last_bits=options.allow_last_bits, seed=options.seed)
        with terminal.step(f"{CASE}, rebuild") as step:
            tables = large.rebuild()
            step.result = f"{tables['fct_impressions'].num_rows:,} impressions"
        for schedule in options.wanted((*LARGE_SCHEDULES, ONE_FILE)):
            with terminal.step(f"{CASE}, {schedule}") as step:
                tallies.append(large.prove(schedule))
                step.result = _outcome(tallies[-1])
        return tallies
    small = SmallLogs(part, scratch, allow_last_bits=options.allow_last_bits)
    with terminal.step(f"{part}, record") as step:
        small.record()
        step.result = "the statements that dbt executes"
    for schedule in options.wanted((*SCHEDULES, ONE_FILE)):
        with terminal.step(f"{part}, {schedule}") as step:
            tallies.append(small.prove(schedule, options.examples, options.seed))
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
