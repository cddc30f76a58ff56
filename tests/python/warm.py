"""Commands in children of a warm process: dbt is imported and the project parsed, once.

A command in a process of its own spends most of its time on getting there. Here a process that
does nothing else (`warmed`) imports and parses, and each command runs in a fork of it: with an
environment, a working folder, an output and a warehouse of its own, and nothing left behind. All
processes of a test run share the warm one, which the first of them to need it starts. True
processes stay for what is about processes: kills, locks, Ctrl-C, a plain `dbt build`.
"""

import fcntl
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from patience import PATIENCE

PROJECT = Path(__file__).resolve().parents[2]


def run(
    program: str, arguments: Sequence[Any], *, cwd: Path, environment: Mapping[str, str]
) -> tuple[int, str, str]:
    """Run `flywheel ARGUMENTS` or `dbt ARGUMENTS`.

    Args:
        program: flywheel or dbt.
        arguments: as on a command line.
        cwd: the folder it runs in.
        environment: all of its environment.

    Returns:
        Its exit status (minus the signal that ended it), its standard output and its standard
        error.

    Raises:
        TimeoutError: it did not end within `PATIENCE`.
    """
    given = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory() as folder, _connected() as connection:
        output, errors = Path(folder, "output"), Path(folder, "errors")
        wanted = {
            "program": program,
            "arguments": given,
            "cwd": str(cwd),
            "environment": dict(environment),
            "output": str(output),
            "errors": str(errors),
        }
        said = connection.makefile("rw", encoding="utf-8", errors="surrogateescape")
        said.write(json.dumps(wanted) + "\n")
        said.flush()
        child = int(said.readline())
        connection.settimeout(PATIENCE)
        try:
            status = int(said.readline())
        except TimeoutError:
            os.kill(child, signal.SIGKILL)
            raise TimeoutError(
                f"{program} {' '.join(given)}: not within {PATIENCE:.0f} s"
            ) from None
        return (
            status,
            output.read_text(encoding="utf-8", errors="replace"),
            errors.read_text(encoding="utf-8", errors="replace"),
        )


def _connected() -> socket.socket:
    """A connection to the warm process, which is started if there is none."""
    folder = _folder()
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return _connection(folder)
        except OSError:
            parse_once()
            _start(folder)
            return _connection(folder)


def _connection(folder: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(folder / "socket"))
    except OSError:
        connection.close()
        raise
    return connection


@functools.cache
def _folder() -> Path:
    """What the processes of this test run have in common, nobody else may enter, and is short."""
    run_of_tests = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    folder = Path(tempfile.gettempdir()) / f"flywheel-warm-{run_of_tests}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _start(folder: Path) -> None:
    """Start the warm process; it ends with the test run."""
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    path = os.pathsep.join([str(PROJECT / "python"), str(Path(__file__).parent)])
    warm = subprocess.Popen(
        [sys.executable, "-m", "warmed", folder, str(os.getppid() if is_worker else os.getpid())],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert warm.stdout is not None
    if warm.stdout.readline() != b"warm\n":
        raise RuntimeError("the warm process did not start")


@functools.cache
def parse_once() -> None:
    """Have the project parsed, unless it is; who comes at the same time waits for the first."""
    (PROJECT / "target").mkdir(exist_ok=True)
    with (PROJECT / "target" / "tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with tempfile.TemporaryDirectory() as home:
            subprocess.run(
                [sys.executable, "-c", PARSE],
                env={
                    **os.environ,
                    "PYTHONPATH": str(PROJECT / "python"),
                    "FLYWHEEL_PROJECT": str(PROJECT),
                    "FLYWHEEL_HOME": home,
                    "FLYWHEEL_DB": str(Path(home) / "warehouse.duckdb"),
                },
                timeout=PATIENCE,
                check=True,
            )


PARSE = """
from flywheel import parsed
from flywheel.settings import load_settings

settings = load_settings()
if parsed.load(settings) is None:
    from flywheel.dbt import parse

    parse(settings)
"""
