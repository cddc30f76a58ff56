"""`make lint`, `make check` and the proofs of `make test-all`, as commands.

By hand it is `python -m check` with python and tests/python on the path.
"""

import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from check import PROJECT, lint
from check.changes import Tree, changed, read_tree, remember
from check.proofs import prove_all
from check.sample import Sample
from check.steps import Step, python, show, side_by_side
from flywheel.errors import FlywheelError
from flywheel.settings import load_settings

TWO_PROCESSES = ("--numprocesses", "2", "--dist", "loadfile", "--no-loadscope-reorder")


@click.group(invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Prove that a change is well: what it touches, and every quick test."""
    if context.invoked_subcommand is None:
        check()


@main.command("lint")
@click.option("--changed", "is_partial", is_flag=True, help="Only files changed since it passed.")
def lint_command(is_partial: bool) -> None:
    """Run the linters."""
    record = _folder() / "lint.json"
    if is_partial:
        tree = read_tree(PROJECT)
        failed = _run(lint.only(changed(PROJECT, tree, record), tree))
    else:
        # A copy without git can be linted as well; it leaves no record.
        tree = read_tree(PROJECT) if (PROJECT / ".git").exists() else {}
        failed = _run(*lint.everything())
    if tree and not failed:
        remember(record, tree)
    sys.exit(bool(failed))


@main.command("proofs")
@click.option("--again", is_flag=True, help="Also those that passed on this tree.")
def proofs_command(again: bool) -> None:
    """Run every proof that has not passed on this tree."""
    failed = prove_all(load_settings().home / "proofs", again=again)
    if failed:
        print(f"Failed: {', '.join(failed)}")
    sys.exit(bool(failed))


def check() -> None:
    """Lint what changed, build what changed, run the quick tests."""
    folder = _folder()
    tree = read_tree(PROJECT)
    linters = lint.only(changed(PROJECT, tree, folder / "lint.json"), tree)
    gate = _gate(tree, folder / "strict.json")
    tests = _quick_tests(tree, folder / "tests.json")
    failed = _run([*linters, gate, Sample(folder).step(tree)], [tests])
    if failed.isdisjoint(step.name for step in linters):
        remember(folder / "lint.json", tree)
    sys.exit(bool(failed))


def _gate(tree: Tree, record: Path) -> Step:
    if record.exists() and not any(map(lint.is_parsed, changed(PROJECT, tree, record))):
        return Step("strict gate", note="nothing that it reads changed")
    return lint.strict(passed=lambda: remember(record, tree))


def _quick_tests(tree: Tree, record: Path) -> Step:
    if record.exists() and not changed(PROJECT, tree, record):
        return Step("quick tests", note="nothing changed")
    return Step(
        "quick tests",
        python(
            "-m", "pytest", "-p", "check.plugin", "-m", "not builds and not slow", *TWO_PROCESSES
        ),
        passed=lambda: remember(record, tree),
    )


def _folder() -> Path:
    """Where checks keep what they know: below the home, which `make clean` leaves alone."""
    return load_settings().home / "check"


def _run(*lanes: Sequence[Step]) -> set[str]:
    started = time.monotonic()
    failed = show(side_by_side(*lanes))
    seconds = time.monotonic() - started
    verdict = f"  FAILED: {', '.join(sorted(failed))}" if failed else ""
    print(f"  {'together':<14}{seconds:6.1f} s{verdict}")
    return failed


if __name__ == "__main__":
    # Ended from outside, the commands that run are ended too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except FlywheelError as error:
        sys.exit(str(error))
