"""Change the compiled SQL of the marts one place at a time: which changes does no test notice?

`make mutation` runs it; by hand it is `python -m mutation` with tests/python on the path.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from flywheel.errors import FlywheelError
from mutation.artifacts import Built, Model, read_build
from mutation.judge import Verdict
from mutation.report import report
from mutation.runner import all_mutants, first_of_each_kind, judge_all
from mutation.survivors import read_survivors

PROJECT = Path(__file__).resolve().parents[3]


def main() -> int:
    """Run the check; 0 if enough is noticed and all else has a reason."""
    options = _options()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        home = options.built or Path(folder) / "home"
        if options.built is None:
            _build(home)
        verdicts = _judged(read_build(home), options)
    text, faults = report(verdicts, read_survivors(), is_complete=options.each is None)
    print(f"{text} {time.monotonic() - started:.0f} s.")
    if options.verbose:
        print("\n".join(f"{v.caught_by:8}  {v.mutant}  {v.test}".rstrip() for v in verdicts))
    if faults:
        print("\n".join(faults))
    return 1 if faults else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mutation", description=__doc__)
    parser.add_argument("--models", nargs="+", help="these models (default: all marts)")
    parser.add_argument("--intermediate", action="store_true", help="intermediate models too")
    parser.add_argument("--each", type=int, help="at most so many mutants of a kind and model")
    parser.add_argument("--no-pytest", action="store_true", help="without the SQL tests of pytest")
    parser.add_argument("--built", type=Path, help="folder of a finished build, to save one")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--verbose", action="store_true", help="print who noticed each mutant")
    return parser.parse_args()


def _build(home: Path) -> None:
    """Build the shipped sample log with every test, in a folder of its own."""
    home.mkdir(parents=True)
    done = subprocess.run(
        [
            *(sys.executable, "-c", "from dbt.cli.main import cli; cli()"),
            *("build", "--quiet", "--selector", "everything"),
        ],
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


def _judged(built: Built, options: argparse.Namespace) -> list[Verdict]:
    chosen = [m for model in _models(built, options) for m in all_mutants(built, model)]
    if options.each is not None:
        chosen = first_of_each_kind(chosen, options.each)
    return judge_all(
        built,
        chosen,
        read_survivors(),
        with_pytest=not options.no_pytest,
        processes=options.processes,
    )


def _models(built: Built, options: argparse.Namespace) -> list[Model]:
    if options.models:
        return [built.model(name) for name in sorted(options.models)]
    chosen = [
        model
        for model in built.models.values()
        if model.is_mart or (options.intermediate and model.name.startswith("int_"))
    ]
    return sorted(chosen, key=lambda model: (not model.is_mart, model.name))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except FlywheelError as error:
        sys.exit(str(error))
