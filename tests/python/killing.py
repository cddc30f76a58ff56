"""Processes that are killed at a chosen moment."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from conftest import Flywheel

PATIENCE = 120.0


@dataclass
class Process:
    """A process in a group of its own, whose output is read as it comes."""

    flywheel: Flywheel
    arguments: list[str]
    output: Path
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.output.parent.mkdir(parents=True, exist_ok=True)
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-u", *self.arguments],
                env=self.flywheel.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def kill_when(self, moment: Callable[["Process"], bool], delay: float = 0.0) -> bool:
        """SIGKILL the whole group `delay` seconds after a moment; False if it had ended before."""
        deadline = time.monotonic() + PATIENCE
        while not moment(self):
            if self.process.poll() is not None or time.monotonic() > deadline:
                break
            time.sleep(0.002)
        time.sleep(delay)
        alive = self.process.poll() is None
        if alive:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return alive

    def finish(self) -> None:
        """Wait for a good end."""
        assert self.process.wait(PATIENCE) == 0, self.said
        assert "Traceback" not in self.said, self.said


def said(word: str) -> Callable[[Process], bool]:
    """The moment after a step's line."""
    return lambda process: bool(re.search(rf"^{word}\b", process.said, re.MULTILINE))


def exists(pattern: str) -> Callable[[Process], bool]:
    """The moment a file appears in the home folder."""
    return lambda process: any(process.flywheel.home.glob(pattern))


def public_tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Names of the tables that people query."""
    return [
        name
        for (name,) in connection.execute(
            "select table_name from information_schema.tables where table_schema = 'main' "
            "and (table_name like 'fct!_%' escape '!' or table_name like 'dim!_%' escape '!') "
            "order by 1"
        ).fetchall()
    ]


def readable(flywheel: Flywheel) -> dict[str, int]:
    """Rows of every public table that there is, each read to its end by a reader."""
    with flywheel.connection() as connection:
        return {
            table: len(connection.execute(f"select * from {table}").fetchall())
            for table in public_tables(connection)
        }


def contents(flywheel: Flywheel) -> dict[str, list[str]]:
    """Every row of every public table, for comparison with those of another flywheel."""
    with flywheel.connection() as connection:
        return {
            table: sorted(map(repr, connection.execute(f"select * from {table}").fetchall()))
            for table in public_tables(connection)
        }
