"""Cases: a log, a schedule, and the comparison of what comes out of it."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

import duckdb
import hypothesis
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from equivalence import events
from equivalence.builders import ALSO, PROJECT, Dbt, Kind, Recorder, Recording, Replayed, release
from equivalence.comparison import Comparison, Difference, Tables, compare, read_tables
from equivalence.files import Delivery, deliver, empty
from equivalence.schedules import ONE_FILE, SCHEDULES, Step, one_file

SMALL_LOG_VARIABLES: dict[str, Any] = {
    # Thresholds that a few events reach, so that verdicts and estimates flip as events come in.
    "bot_max_searches_per_day": 5,
    "bot_max_events_per_minute": 6,
    "bot_min_active_hours": 5,
    "bot_min_regular_searches": 3,
    "bot_min_repeated_searches": 4,
    "bot_max_distinct_query_share": 0.6,
    "bot_min_clickless_searches": 3,
    "bot_min_few_click_searches": 4,
    "bot_max_clicked_share": 0.5,
    "bot_max_few_clicks_chance": 0.3,
    "bot_max_deep_few_clicks_chance": 0.5,
    "bot_click_rate_bands": [0.1, 0.25, 0.4, 0.6],
    "bot_min_click_rate_days": 2,
    "bot_deep_rank": 4,
    "bot_min_deep_searches": 3,
    "bot_min_rapid_clicks": 4,
    "bot_min_document_visits": 4,
    "min_randomised_clicks": 1,
    "min_ipf_clicks": 1,
    "ipf_steps": 3,
    "jackknife_groups": 3,
    "propensity_contexts": ["device"],
    "canary_min_users": 1,
    "canary_planned_users": 50,
}
SMALL_LOG_MODELS = ("+path:models/marts/behavior", "+int_position_cells", "+fct_canary_metrics")
"""Every incremental model, and little beside; the larger case builds all that hangs on them."""
CELL_TABLES = {"int_position_cells": "cells", "fct_canary_metrics": "canary"}


def public_tables(folder: str = "") -> dict[str, str]:
    """Group of every public table: models under models/marts, by folder."""
    return {
        path.stem: path.parent.name
        for path in sorted((PROJECT / "models/marts" / folder).rglob("*.sql"))
    }


def project_variables() -> dict[str, Any]:
    """The vars of dbt_project.yml."""
    return yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]


@dataclass
class Tally:
    """What was proved for one schedule.

    Attributes:
        case: which logs.
        schedule: its name.
        n_cases: logs.
        n_runs: runs of dbt, real or replayed, beside the rebuilds.
        n_rows: rows compared, by group of tables.
        wrong: differences that count, of the smallest failing log.
        last_bits: sentences about doubles that differ in their last bits only.
        failing: the smallest failing log and its steps, as text.
        counterexample: a failing log and the seed of its schedule.
        error: why it could not be compared.
        seconds: wall time.
    """

    case: str
    schedule: str
    n_cases: int = 0
    n_runs: int = 0
    n_rows: dict[str, int] = field(default_factory=dict)
    wrong: list[Difference] = field(default_factory=list)
    last_bits: set[str] = field(default_factory=set)
    failing: str = ""
    counterexample: tuple[list[Any], int] | None = None
    error: str = ""
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        """Nothing differs."""
        return not self.wrong and not self.error

    def take(self, found: Comparison, n_runs: int, *, allow_last_bits: bool) -> None:
        """Add a comparison."""
        self.n_cases += 1
        self.n_runs += n_runs
        for group, n_rows in found.n_rows.items():
            self.n_rows[group] = self.n_rows.get(group, 0) + n_rows
        self.wrong = found.wrong(allow_last_bits=allow_last_bits)
        for difference in found.differences:
            if difference.is_last_bits:
                self.last_bits.add(f"{difference.table} ({', '.join(difference.columns)})")


class NotEqualError(AssertionError):
    """The warehouse under test is not the rebuilt one."""


class SmallLogs:
    """The replayed half: many small logs of one format.

    Args:
        log_format: `ubi` or `flat`.
        scratch: folder to work in.
        allow_last_bits: let doubles differ by their last bits.
    """

    def __init__(self, log_format: str, scratch: Path, *, allow_last_bits: bool = False) -> None:
        self.log_format = log_format
        self.allow_last_bits = allow_last_bits
        self.folder = scratch / "log"
        variables = SMALL_LOG_VARIABLES | {"log_format": log_format}
        unknown = set(variables) - set(project_variables())
        assert not unknown, f"dbt_project.yml no longer has {unknown}"
        self.dbt = Dbt(scratch, self.folder, variables, SMALL_LOG_MODELS)
        self.groups = public_tables("behavior") | CELL_TABLES
        self._seeds: list[str] = []
        self._recordings: dict[Kind, Recording] = {}
        self._rebuilt: dict[str, Tables] = {}

    @property
    def logs(self) -> st.SearchStrategy[list[Any]]:
        """Logs of the format."""
        return events.ubi_logs if self.log_format == "ubi" else events.flat_logs

    def files(self, log: Sequence[Any]) -> tuple[Delivery, ...]:
        """Files of a log."""
        make = events.ubi_files if self.log_format == "ubi" else events.flat_files
        return make(log)

    def record(self, also: Sequence[str] = ALSO) -> None:
        """Record what dbt executes, on a log in which something of everything occurs."""
        empty(self.folder)
        deliver(self.folder, self.files(example_log(self.log_format)))
        self._seeds, self._recordings = Recorder(self.dbt).record(also)

    def warehouse(self) -> Replayed:
        """An empty one."""
        return Replayed(self.dbt, self._seeds, self._recordings)

    def build(self, steps: Sequence[Step]) -> Tables:
        """Public tables after some runs, from nothing."""
        empty(self.folder)
        warehouse = self.warehouse()
        try:
            for step in steps:
                deliver(self.folder, step.deliveries)
                warehouse.run(step)
            return warehouse.tables(list(self.groups))
        finally:
            warehouse.close()

    def read(self, database: Path) -> Tables:
        """Public tables of a warehouse that dbt built."""
        release()
        with duckdb.connect(str(database), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            return read_tables(connection, list(self.groups))

    def rebuild(self, files: Sequence[Delivery]) -> Tables:
        """Public tables after one full refresh over the files; remembered for the next schedule."""
        key = hashlib.sha256(repr(files).encode()).hexdigest()
        if key not in self._rebuilt:
            if len(self._rebuilt) > 500:
                self._rebuilt.clear()
            self._rebuilt[key] = self.build([Step(tuple(files), full_refresh=True)])
        return self._rebuilt[key]

    def check(self, log: Sequence[Any], schedule: str, seed: int) -> tuple[Comparison, list[Step]]:
        """Build a log by a schedule and compare it with the rebuild."""
        files = self.files(log)
        if schedule == ONE_FILE:
            steps = one_file(files)
        else:
            steps = settled(SCHEDULES[schedule](files, Random(seed)), files)
        tables = self.build(steps)
        return (
            compare(tables, self.rebuild(files), self.groups, layouts_differ=schedule == ONE_FILE),
            steps,
        )

    def prove(self, schedule: str, examples: int, seed: int = 0) -> Tally:
        """Check a schedule on many logs; a failing log is shrunk to the records that matter."""
        tally = Tally(f"small {self.log_format} logs", schedule)

        @hypothesis.seed(seed)
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),
            print_blob=False,
        )
        @given(log=self.logs, seed=st.integers(0, 2**16))
        def holds(log: list[Any], seed: int) -> None:
            found, steps = self.check(log, schedule, seed)
            tally.take(found, len(steps), allow_last_bits=self.allow_last_bits)
            if tally.wrong:
                tally.counterexample = (log, seed)
                raise NotEqualError

        collect(tally, holds)
        if tally.counterexample is not None:
            self._explain(tally)
        return tally

    def _explain(self, tally: Tally) -> None:
        """Leave out of a failing log, in ever smaller pieces, what it fails without."""
        log, seed = tally.counterexample or ([], 0)
        size = len(log) // 2
        while size:
            place = 0
            while place < len(log):
                fewer = [*log[:place], *log[place + size :]]
                # Fewer files are cut elsewhere: another seed may show what this one hides now.
                for other in (seed, 0) if fewer else ():
                    if self._wrong(fewer, tally.schedule, other):
                        log, seed = fewer, other
                        break
                else:
                    place += size
            size //= 2
        found, steps = self.check(log, tally.schedule, seed)
        tally.wrong = found.wrong(allow_last_bits=self.allow_last_bits)
        tally.failing = _failing(log, steps)

    def _wrong(self, log: Sequence[Any], schedule: str, seed: int) -> list[Difference]:
        found = self.check(log, schedule, seed)[0]
        return found.wrong(allow_last_bits=self.allow_last_bits)


def settled(steps: list[Step], files: Sequence[Delivery]) -> list[Step]:
    """The steps, followed by a last one if they did not end with exactly these files."""
    stands = {d.name: d for step in steps for d in step.deliveries}
    missing = tuple(f for f in files if stands.get(f.name) != f)
    return [*steps, Step(missing)] if missing else steps


def example_log(log_format: str) -> list[Any]:
    """A log in which something of everything occurs."""
    if log_format == "ubi":
        return [
            events.UbiRecord(
                kind, n % 9, 0, n % 12, n % 4, n % 4, n % 3, n % 4, n % 2, n % 3, n % 8
            )
            for n, kind in enumerate(events.UBI_KINDS * 2)
        ]
    return [
        events.FlatRecord(
            ("row", "row", "row", "row", "cut", "row", "future")[n % 7],
            *(n % 5, 0, n % 3, n % 4, n % 4, 1 + n % 3, 0, n % 3, n % 2 == 0),
            delay=n % 8,
        )
        for n in range(40)
    ]


def collect(tally: Tally, run: Callable[[], None]) -> None:
    """Run a proof, and note its time and what stopped it."""
    started = perf_counter()
    try:
        run()
    except NotEqualError:
        pass
    except Exception as error:
        tally.error = f"{type(error).__name__}: {error}"[:3000]
    tally.seconds = perf_counter() - started


def _failing(log: Sequence[Any], steps: Sequence[Step]) -> str:
    lines = ["  log:"]
    for record in log:
        given = [
            f"{name}={value!r}"
            for name, value in vars(record).items()
            if value != type(record).__dataclass_fields__[name].default
        ]
        lines.append(f"    {type(record).__name__}({', '.join(given)})")
    lines.append("  runs:")
    for step in steps:
        files = ", ".join(
            f"{d.name} ({len(d.rows)} rows, arrived {d.arrived:%d %H:%M})" for d in step.deliveries
        )
        flags = [
            word
            for word, holds in (
                ("full refresh", step.full_refresh),
                ("backfill", step.backfill),
                (f"killed at {step.killed_at}", step.killed_at is not None),
            )
            if holds
        ]
        lines.append(f"    {' '.join(flags) or 'run'} after {files or 'nothing new'}")
    return "\n".join(lines)
