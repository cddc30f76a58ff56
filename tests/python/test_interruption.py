"""Ctrl-C in a command: one sentence and status 130, whatever the library it hit makes of it."""

import os
import signal
import threading
from collections.abc import Callable, Iterator

import click
import duckdb
import pytest
from click.testing import CliRunner

from flywheel.cli import cli
from flywheel.errors import FlywheelError
from flywheel.interruption import interruptible

SENTENCE = "flywheel: stopped; the next run goes on from here.\n"


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def in_a_query() -> None:
    threading.Timer(0.2, press_ctrl_c).start()
    duckdb.sql("select count(*) from range(10000000000000)").fetchall()


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
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible() as interruption:
            press_ctrl_c()
        assert not interruption.is_set()
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_can_wait_for_the_end() -> None:
    with interruptible(at_once=False) as interruption:
        press_ctrl_c()
        assert interruption.is_set()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
