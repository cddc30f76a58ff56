"""All mutants of a choice of models before their judges, in processes side by side."""

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from flywheel.errors import FlywheelError
from mutation import sql_tests
from mutation.artifacts import Built, Model
from mutation.judge import SQL, SURVIVED, Judge, Verdict
from mutation.mutants import Mutant, incremental_mutants, mutants
from mutation.survivors import Survivor, unlisted


def all_mutants(built: Built, model: Model) -> list[Mutant]:
    """The mutants of a model as a rebuild runs it, then those that only an incremental run has."""
    found = mutants(model.name, model.sql)
    for test in built.unit_tests[model.unique_id]:
        if test.is_incremental:
            # One test in incremental mode tells what that text is.
            return found + incremental_mutants(model.name, model.sql, test.name, test.model_sql)
    return found


def first_of_each_kind(candidates: Sequence[Mutant], most: int) -> list[Mutant]:
    """At most so many mutants of each model and kind, the first in the text."""
    taken: Counter[tuple[str, str]] = Counter()
    chosen = []
    for mutant in candidates:
        taken[mutant.model, mutant.kind] += 1
        if taken[mutant.model, mutant.kind] <= most:
            chosen.append(mutant)
    return chosen


def judge_all(
    built: Built,
    chosen: Sequence[Mutant],
    listed: Sequence[Survivor],
    *,
    with_pytest: bool = True,
    processes: int = 2,
) -> list[Verdict]:
    """The verdicts, in the order of the mutants.

    Args:
        built: the build whose models are changed.
        chosen: mutants to judge.
        listed: known survivors; they are not shown to pytest, which takes seconds for each.
        with_pytest: whether to show the other survivors to pytest.
        processes: how many to use, each with a copy of the warehouse.

    Raises:
        FlywheelError: a test fails on an unchanged model already.
    """
    models = [built.model(name) for name in dict.fromkeys(m.model for m in chosen)]
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(
            processes, initializer=_start, initargs=(built, Path(folder), models)
        ) as pool,
    ):
        verdicts = []
        for verdict in pool.map(_judge, chosen, chunksize=4):
            verdicts.append(verdict)
            _progress(len(verdicts), len(chosen))
        if with_pytest:
            survived = (v.mutant for v in verdicts if v.caught_by == SURVIVED)
            new = {m for m in unlisted(survived, listed) if not m.origin}
            tried = pool.map(_judge_by_pytest, [v for v in verdicts if v.mutant in new])
            by_mutant = {verdict.mutant: verdict for verdict in tried}
            verdicts = [by_mutant.get(v.mutant, v) for v in verdicts]
    return verdicts


_judging: tuple[Judge, Built]
_failing: str = ""


def _start(built: Built, folder: Path, models: Sequence[Model]) -> None:
    global _judging, _failing
    own = folder / str(os.getpid())
    own.mkdir()
    judge = Judge(built, own)
    _judging = judge, built
    for model in models:
        if failing := judge.check(model):
            # An error here would only be told as a broken pool.
            _failing = f"Unchanged {model.name} fails already: {', '.join(failing)}."
            return


def _judge(mutant: Mutant) -> Verdict:
    if _failing:
        raise FlywheelError(_failing)
    return _judging[0].judge(mutant)


def _judge_by_pytest(verdict: Verdict) -> Verdict:
    mutant = verdict.mutant
    test = sql_tests.noticed(mutant, _judging[1].model(mutant.model).sql)
    return Verdict(mutant, SQL, test) if test else verdict


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty() and (done % 10 == 0 or done == total):
        print(f"\r{done} of {total} mutants", end="", file=sys.stderr, flush=True)
