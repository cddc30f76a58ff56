"""Commands in children of a warm process: dbt is imported and the project parsed, once.

A command in a process of its own spends most of its time on getting there. Here a process that
does nothing else (Python's fork server) imports and parses, and each command runs in a fork of it:
with an environment, a working folder, an output and a warehouse of its own, and nothing left
behind. True processes stay for what is about processes: kills, locks, Ctrl-C, a plain `dbt build`.
"""

import fcntl
import functools
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
import traceback
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
        Its exit status, its standard output and its standard error.

    Raises:
        TimeoutError: it did not end within `PATIENCE`.
    """
    forks = _fork_server()
    with tempfile.TemporaryDirectory() as folder:
        output, errors = Path(folder, "output"), Path(folder, "errors")
        given = [str(argument) for argument in arguments]
        child = forks.Process(
            target=_child,
            args=(program, given, str(cwd), dict(environment), str(output), str(errors)),
        )
        child.start()
        child.join(PATIENCE)
        if child.exitcode is None:
            child.kill()
            child.join()
            raise TimeoutError(f"{program} {' '.join(given)}: not within {PATIENCE:.0f} s")
        return (
            child.exitcode,
            output.read_text(encoding="utf-8", errors="replace"),
            errors.read_text(encoding="utf-8", errors="replace"),
        )


@functools.cache
def _fork_server() -> Any:
    """The context whose processes are forks of the warm one, which is started here."""
    parse_once()
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["warmed"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(PROJECT / "python"), str(Path(__file__).parent)]
    )
    try:
        from multiprocessing import forkserver

        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    return forks


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


def _child(
    program: str,
    arguments: list[str],
    cwd: str,
    environment: dict[str, str],
    output: str,
    errors: str,
) -> None:
    """What the fork does; its exit status is the command's."""
    for descriptor, path in ((1, output), (2, errors)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(cwd)
    sys.argv = [program, *arguments]
    try:
        status = {"flywheel": _flywheel, "dbt": _dbt}[program](arguments)
    except SystemExit:
        raise
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.exit(status)


def _flywheel(arguments: list[str]) -> int:
    from flywheel.cli import cli

    cli.main(arguments, prog_name="flywheel")
    return 0


def _dbt(arguments: list[str]) -> int:
    """`dbt` as its own command would run, but for the parse."""
    from dbt.cli.main import dbtRunner

    from flywheel import parsed
    from flywheel.dbt_events import listen
    from flywheel.settings import load_settings

    listen()
    # To write the manifest takes a tenth of a build's time, and nothing here reads it.
    quick = ["--no-write-json", *arguments]
    outcome = dbtRunner(parsed.load(load_settings())).invoke(quick)
    if outcome.exception is not None:
        print(outcome.exception, file=sys.stderr)
        return 2
    return 0 if outcome.success else 1
