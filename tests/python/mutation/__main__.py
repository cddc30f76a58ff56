"""Command line: `python -m mutation`, with tests/python and python/ on the path."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from flywheel.errors import FlywheelError
from mutation import sql_tests
from mutation.artifacts import Built, Model, read_build
from mutation.judge import INVALID, SQL, SURVIVED, Judge, Verdict
from mutation.mutants import Mutant, mutants
from mutation.report import share_caught, table
from mutation.survivors import read_survivors

PROJECT = Path(__file__).resolve().parents[3]
LEAST_SHARE = 0.9


def main() -> int:
    """Run the check; 0 if enough is noticed and all else has a reason."""
    options = _options()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        if options.built is None:
            _build(Path(folder) / "home")
        built = read_build(options.built or Path(folder) / "home")
        models = _chosen(built, options)
        chosen = [m for model in models for m in _sampled(model, options.each)]
        verdicts = run(built, models, chosen, options)
    return _report(verdicts, options, time.monotonic() - started)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mutation", description=__doc__)
    parser.add_argument("--models", nargs="+", help="these models (default: all marts)")
    parser.add_argument("--intermediate", action="store_true", help="intermediate models too")
    parser.add_argument("--each", type=int, help="at most so many mutants of a kind and model")
    parser.add_argument(
        "--no-pytest", action="store_true", help="leave out the SQL tests of pytest"
    )
    parser.add_argument("--built", type=Path, help="folder of a finished build, to save one")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--verbose", action="store_true", help="print who noticed each mutant")
    return parser.parse_args()


def _build(home: Path) -> None:
    """Build the shipped sample log with every test, in a folder of its own."""
    home.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-c", "from dbt.cli.main import cli; cli()", "build", "--quiet"],
        cwd=PROJECT,
        env=os.environ
        | {
            "FLYWHEEL_HOME": str(home),
            "FLYWHEEL_DB": str(home / "warehouse.duckdb"),
            "DBT_PROFILES_DIR": str(PROJECT),
            "DBT_TARGET_PATH": str(home / "target"),
            "DBT_LOG_PATH": str(home / "logs"),
            "DO_NOT_TRACK": "1",
        },
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise FlywheelError(f"The unchanged project does not build:\n{done.stdout}{done.stderr}")


def _chosen(built: Built, options: argparse.Namespace) -> list[Model]:
    if options.models:
        return [built.model(name) for name in sorted(options.models)]
    chosen = [
        model
        for model in built.models.values()
        if model.is_mart or (options.intermediate and model.name.startswith("int_"))
    ]
    return sorted(chosen, key=lambda model: (not model.is_mart, model.name))


def _sampled(model: Model, each: int | None) -> list[Mutant]:
    """All mutants of a model, or the first so many of each kind."""
    taken: Counter[str] = Counter()
    chosen = []
    for mutant in mutants(model.name, model.sql):
        taken[mutant.kind] += 1
        if each is None or taken[mutant.kind] <= each:
            chosen.append(mutant)
    return chosen


def run(
    built: Built, models: list[Model], chosen: list[Mutant], options: argparse.Namespace
) -> list[Verdict]:
    """The verdicts, in the order of the mutants."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(
            options.processes, initializer=_start, initargs=(built, Path(folder))
        ) as pool,
    ):
        for model, failing in zip(models, pool.map(_check, models), strict=True):
            if failing:
                raise FlywheelError(f"Unchanged {model.name} fails already: {', '.join(failing)}.")
        verdicts = []
        for verdict in pool.map(_judge, chosen, chunksize=4):
            verdicts.append(verdict)
            _progress(len(verdicts), len(chosen))
        if not options.no_pytest:
            verdicts = list(pool.map(_judge_by_pytest, verdicts))
    return verdicts


_judging: tuple[Judge, Built]


def _start(built: Built, folder: Path) -> None:
    global _judging
    own = folder / str(os.getpid())
    own.mkdir()
    _judging = Judge(built, own), built


def _check(model: Model) -> list[str]:
    return _judging[0].check(model)


def _judge(mutant: Mutant) -> Verdict:
    return _judging[0].judge(mutant)


def _judge_by_pytest(verdict: Verdict) -> Verdict:
    if verdict.caught_by != SURVIVED:
        return verdict
    mutant = verdict.mutant
    test = sql_tests.noticed(mutant, _judging[1].model(mutant.model).sql)
    return Verdict(mutant, SQL, test) if test else verdict


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty() and done % 10 == 0:
        print(f"\r{done} of {total} mutants", end="", file=sys.stderr, flush=True)


def _report(verdicts: list[Verdict], options: argparse.Namespace, seconds: float) -> int:
    listed = read_survivors()
    valid = [v for v in verdicts if v.caught_by != INVALID]
    survived = [v.mutant for v in valid if v.caught_by == SURVIVED]
    unlisted = [m for m in survived if m.key not in listed]
    if options.verbose:
        for v in valid:
            print(f"{v.caught_by:8} {v.mutant}   {v.test}")
    print(table(valid))
    share = share_caught(valid)
    invalid = len(verdicts) - len(valid)
    print(
        f"{share:.1%} of {len(valid)} mutants noticed; {invalid} more are no valid SQL;"
        f" {seconds:.0f} s."
    )
    status = 0
    if unlisted:
        print(f"{len(unlisted)} survived and are not in survivors.toml:")
        print("\n".join(f"  {mutant}" for mutant in unlisted))
        status = 1
    if share < LEAST_SHARE:
        print(f"Fewer than {LEAST_SHARE:.0%} were noticed.")
        status = 1
    # A listed mutant that a test notices now needs no excuse any more (all of it must have run).
    gone = sorted(
        key
        for key in listed.keys() - {m.key for m in survived}
        if key[0] in {v.mutant.model for v in valid}
    )
    if gone and options.each is None and not options.no_pytest:
        print("These of survivors.toml are noticed, or do not exist any more:")
        print(
            "\n".join(f"  {model}, {scope}: {change} ({nth})" for model, scope, change, nth in gone)
        )
        status = 1
    return status


if __name__ == "__main__":
    try:
        sys.exit(main())
    except FlywheelError as error:
        sys.exit(str(error))
