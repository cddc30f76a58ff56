"""`make lint`, `make check` and the proofs of `make test-all`, as commands.

By hand it is `python -m check` with python and tests/python on the path.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from check import PROJECT, lint
from check.changes import changed, read_tree, remember
from check.steps import Result, Step, show, side_by_side
from flywheel.errors import FlywheelError
from flywheel.settings import load_settings


@click.group()
def main() -> None:
    """Prove that a change is well."""


@main.command("lint")
@click.option("--changed", "is_partial", is_flag=True, help="Only files changed since it passed.")
def lint_command(is_partial: bool) -> None:
    """Run the linters."""
    record = _folder() / "lint.json"
    if is_partial:
        tree = read_tree(PROJECT)
        lanes: Sequence[Sequence[Step]] = [lint.only(changed(PROJECT, tree, record), tree)]
    else:
        # A copy without git can be linted too; it leaves no record.
        tree = read_tree(PROJECT) if (PROJECT / ".git").exists() else {}
        lanes = lint.everything()
    if _show(side_by_side(*lanes)) and tree:
        remember(record, tree)


def _folder() -> Path:
    """Where checks keep what they know: below the home, so that `make clean` leaves it."""
    return load_settings().home / "check"


def _show(results: Iterator[Result]) -> bool:
    """Print results and the time of all; leave with status 1 if one failed."""
    started = time.monotonic()
    is_well = show(results)
    print(f"  {'all' if is_well else 'NOT WELL':<14}{time.monotonic() - started:6.1f} s")
    if not is_well:
        sys.exit(1)
    return is_well


if __name__ == "__main__":
    try:
        main()
    except FlywheelError as error:
        sys.exit(str(error))
