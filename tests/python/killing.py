"""Processes that are killed, or interrupted, at a chosen moment: after an event, not a delay."""

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
from patience import PATIENCE, wait_until


@dataclass
class Process:
    """A process in a group of its own, whose output is read as it comes."""

    flywheel: Flywheel
    arguments: list[str]
    output: Path
    process: subprocess.Popen[bytes] = field(init=False)
    n_logged: int = field(init=False)

    def __post_init__(self) -> None:
        self.output.parent.mkdir(parents=True, exist_ok=True)
        self.n_logged = len(finished_models(self.flywheel))
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-u", *self.arguments],
                env=self.flywheel.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # What starts in the background of a shell ignores Ctrl-C; this must not.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )

    @property
    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def kill_when(self, moment: Callable[["Process"], bool], delay: float = 0.0) -> bool:
        """SIGKILL the whole group `delay` seconds after a moment; False if it had ended before."""
        return self.signal_when(moment, signal.SIGKILL, delay)

    def signal_when(
        self,
        moment: Callable[["Process"], bool],
        number: int,
        delay: float = 0.0,
        *,
        wait: bool = True,
    ) -> bool:
        """Send the group a signal after a moment, and wait for its end; False if it came too late.

        Raises:
            TimeoutError: neither the moment nor the end came within `PATIENCE`.
        """
        wait_until(
            lambda: moment(self) or self.process.poll() is not None,
            f"the moment to send signal {number}",
            every=0.002,
        )
        time.sleep(delay)
        alive = self.process.poll() is None
        if alive:
            os.killpg(self.process.pid, number)
        if wait:
            self.process.wait(PATIENCE)
        return alive

    def finish(self) -> None:
        """Wait for a good end."""
        assert self.process.wait(PATIENCE) == 0, self.said
        assert "Traceback" not in self.said, self.said


def said(word: str) -> Callable[[Process], bool]:
    """The moment after a step's line."""
    return lambda process: bool(re.search(rf"^{word}\b", process.said, re.MULTILINE))


def finished_models(flywheel: Flywheel) -> list[str]:
    """Models and seeds that dbt has finished, in all runs, by the log it keeps in the home."""
    log = flywheel.home / "logs" / "dbt.log"
    if not log.exists():
        return []
    return re.findall(r"^.* OK (?:created|loaded) .*$", log.read_text(errors="replace"), re.M)


def logged(model: str) -> Callable[[Process], bool]:
    """The moment the process has finished a model."""

    def happened(process: Process) -> bool:
        done = finished_models(process.flywheel)[process.n_logged :]
        return any(re.search(rf"\b{model}\b", line) for line in done)

    return happened


def finished(n_models: int) -> Callable[[Process], bool]:
    """The moment the process has finished so many models."""
    return lambda process: len(finished_models(process.flywheel)) >= process.n_logged + n_models


def exists(pattern: str) -> Callable[[Process], bool]:
    """The moment a file appears in the home folder."""
    return lambda process: any(process.flywheel.home.glob(pattern))


def public_tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Names of the tables that people query; what dbt puts aside while it renames is none."""
    return [
        name
        for (name,) in connection.execute(
            "select table_name from information_schema.tables where table_schema = 'main' "
            "and (table_name like 'fct!_%' escape '!' or table_name like 'dim!_%' escape '!') "
            "and table_name not like '%!_!_dbt!_%' escape '!' order by 1"
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
