"""Ctrl-C in a command: one sentence and status 130, whatever the library it hit makes of it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import click
import duckdb
import pytest
from click.testing import CliRunner

from conftest import Flywheel
from flywheel.cli import cli
from flywheel.errors import FlywheelError
from flywheel.interruption import interruptible
from patience import PATIENCE

SENTENCE = "flywheel: stopped; the next run goes on from here.\n"


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """What starts in the background of a shell ignores Ctrl-C; these tests must not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def in_a_query() -> None:
    threading.Timer(0.2, press_ctrl_c).start()
    duckdb.sql("select count(*) from range(20000000000)").fetchall()


def in_an_import() -> None:
    try:
        press_ctrl_c()
    except KeyboardInterrupt:
        raise ImportError("a half-imported module") from None


def while_something_else_is_wrong() -> None:
    try:
        press_ctrl_c()
    except KeyboardInterrupt:
        raise FlywheelError("The warehouse cannot be opened.") from None


@pytest.fixture
def run() -> Iterator[Callable[[Callable[[], None]], tuple[int, str]]]:
    """Runs something as a command of `flywheel`."""

    def run(callback: Callable[[], None]) -> tuple[int, str]:
        cli.add_command(click.Command("something", callback=callback))
        done = CliRunner().invoke(cli, ["something"])
        return done.exit_code, done.output

    yield run
    cli.commands.pop("something")


@pytest.mark.parametrize("where", [in_a_query, in_an_import, while_something_else_is_wrong])
def test_ctrl_c_is_one_sentence(run, where: Callable[[], None]) -> None:
    assert run(where) == (130, SENTENCE)


def test_an_error_without_ctrl_c_keeps_its_sentence(run) -> None:
    def fail() -> None:
        raise FlywheelError("The warehouse cannot be opened.")

    assert run(fail) == (1, "flywheel: The warehouse cannot be opened.\n")


def test_an_ignored_ctrl_c_stays_ignored() -> None:
    """What a script starts in the background ignores Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interruptible() as interruption:
        press_ctrl_c()
    assert not interruption.is_set()


def test_ctrl_c_can_wait_for_the_end() -> None:
    with interruptible(at_once=False) as interruption:
        press_ctrl_c()
        assert interruption.is_set()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


AS_DBT_BEGINS = """
import os, signal
import dbt.cli.requires as dbt
from flywheel.cli import main

def flags(context, make=dbt.Flags):
    os.kill(os.getpid(), signal.SIGINT)
    return make(context)

dbt.Flags = flags
main()
"""


def test_ctrl_c_before_dbt_has_a_log_of_its_own(flywheel: Flywheel) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AS_DBT_BEGINS, "build", "--no-tests"],
        env=flywheel.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )
    checked, *lines = done.stdout.splitlines()
    assert checked.startswith("Check")
    assert (done.returncode, "".join(f"{line}\n" for line in lines)) == (130, SENTENCE)
