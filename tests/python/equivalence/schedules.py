"""In which pieces, and in which order, the files of a log come in."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import groupby
from random import Random

from equivalence.files import Delivery, in_one

BACKFILL_RANGE = ("2026-03-01 23:30:00", "2026-03-02 12:00:00")
"""Of every explicit backfill; a var, so known when the replayed run is recorded."""


@dataclass(frozen=True)
class Step:
    """One run of dbt, and what came in before it.

    Attributes:
        deliveries: files that are new or changed.
        full_refresh: run with `--full-refresh`.
        backfill: run with the backfill vars set to `BACKFILL_RANGE`.
        killed_at: share of the run's work after which it is killed; None lets it end.
        select: dbt selectors; empty means everything.
    """

    deliveries: tuple[Delivery, ...] = field(default=(), repr=False)
    full_refresh: bool = False
    backfill: bool = False
    killed_at: float | None = None
    select: tuple[str, ...] = ()


Schedule = Callable[[Sequence[Delivery], Random], list[Step]]


def at_once(files: Sequence[Delivery], _: Random) -> list[Step]:
    """Everything in one run that is not a full refresh, then nothing new at all."""
    return [Step(tuple(files)), Step()]


def daily(files: Sequence[Delivery], _: Random) -> list[Step]:
    """A run a day, with what arrived on it."""
    return _steps(tuple(g) for _, g in groupby(files, key=lambda f: f.arrived.date()))


def hourly(files: Sequence[Delivery], _: Random) -> list[Step]:
    """A run for every file."""
    return _steps((f,) for f in files)


def random_batches(files: Sequence[Delivery], chance: Random) -> list[Step]:
    """Runs at random times; some find nothing new."""
    steps = _steps(_cut(files, chance))
    return [s for step in steps for s in ([step, Step()] if chance.random() < 0.2 else [step])]


def shuffled(files: Sequence[Delivery], chance: Random) -> list[Step]:
    """Files come in any order, whatever their age."""
    return _steps(_cut(chance.sample(files, len(files)), chance))


def killed(files: Sequence[Delivery], chance: Random) -> list[Step]:
    """Every run but the first is killed at a random moment; half resume with more files."""
    first, *rest = _steps(_cut(files, chance))
    steps = [first]
    for step in rest or [Step()]:
        steps.append(replace(step, killed_at=chance.random()))
        if chance.random() < 0.5:
            steps.append(Step())
    return [*steps, Step()]


def withheld(files: Sequence[Delivery], chance: Random) -> list[Step]:
    """Some days are missing, the rest is built piece by piece, and the days are added last."""
    days = sorted({f.arrived.date() for f in files})
    gone = set(chance.sample(days, len(days) // 2))
    there = [f for f in files if f.arrived.date() not in gone]
    missing = tuple(f for f in files if f.arrived.date() in gone)
    return [*_steps(_cut(there, chance)), *([Step(missing)] if missing else [])]


def backfilled(files: Sequence[Delivery], chance: Random) -> list[Step]:
    """A range is derived again: once over what stands, once together with late files."""
    first, *rest = _steps(_cut(files, chance))
    steps = [first, Step(backfill=True), *rest]
    return [*steps[:-1], replace(steps[-1], backfill=True), Step()]


def grown(files: Sequence[Delivery], chance: Random) -> list[Step]:
    """Files are read before they are complete, and again after rows were appended."""
    steps: list[Step] = []
    for batch in _cut(files, chance):
        steps.append(Step(tuple(f.first(chance.random()) for f in batch)))
        steps.append(Step(batch))
    return steps


def rewritten(files: Sequence[Delivery], chance: Random) -> list[Step]:
    """Files come with wrong content first: another file's rows, rows missing, rows turned round."""
    steps: list[Step] = []
    for batch in _cut(files, chance):
        wrong = []
        for file in batch:
            donor = chance.choice(files).rows if file.name.endswith(".ndjson") else ()
            rows = [row for row in file.rows if chance.random() < 0.7][::-1]
            wrong.append(
                replace(
                    file,
                    rows=(*donor, *rows) or file.rows,
                    arrived=file.arrived - timedelta(minutes=30),
                )
            )
        steps += [Step(tuple(wrong)), Step(batch)]
    return steps


def refreshed(files: Sequence[Delivery], chance: Random) -> list[Step]:
    """Full refreshes between other runs."""
    steps = _steps(_cut(files, chance))
    steps = [s for step in steps for s in ([step, Step(full_refresh=True)])]
    return [*steps, Step()]


SCHEDULES: dict[str, Schedule] = {
    "at once": at_once,
    "daily": daily,
    "hourly": hourly,
    "random batches": random_batches,
    "shuffled": shuffled,
    "killed and resumed": killed,
    "days added last": withheld,
    "backfill vars": backfilled,
    "files that grow": grown,
    "files rewritten": rewritten,
    "refresh between": refreshed,
}
ONE_FILE = "one file"


def one_file(files: Sequence[Delivery]) -> list[Step]:
    """The same rows in the same order in one file, for the comparison of layouts."""
    return [Step((in_one(files),), full_refresh=True)]


def _steps(batches: Iterable[Sequence[Delivery]]) -> list[Step]:
    return [Step(tuple(batch)) for batch in batches]


def _cut(files: Sequence[Delivery], chance: Random) -> list[tuple[Delivery, ...]]:
    """Two to five batches of neighbours, as far as there are files."""
    n_cuts = min(chance.randint(1, 4), len(files) - 1)
    places = [0, *sorted(chance.sample(range(1, len(files)), n_cuts)), len(files)]
    return [tuple(files[a:b]) for a, b in zip(places, places[1:], strict=False)]
