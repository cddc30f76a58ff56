"""The warm process of `warm`: imports and loads what commands need, then forks one for each.

`python -m warmed FOLDER OWNER` listens at a socket in the folder until the process OWNER is gone.
It starts no thread.
"""

import gc
import json
import os
import selectors
import signal
import socket
import sys
import tempfile
import time
import traceback
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any

from dbt.cli.main import dbtRunner
from dbt_common.clients.jinja import template_cache

import flywheel.cli
import flywheel.loop
import flywheel.ranker.scoring
import flywheel.ranker.training
import flywheel.report
import flywheel.status
from flywheel import parsed
from flywheel.dbt_events import listen
from flywheel.settings import Settings, load_settings

PROJECT = Path(__file__).parents[2]


def load() -> None:
    """Load and compile what a command would."""
    home = Path(tempfile.gettempdir())
    manifest = parsed.load(Settings(PROJECT, home, home / "warehouse.duckdb"))
    if manifest is not None:
        # dbt compiles a macro where it is first called, and each fork would compile the same ones.
        for macro in manifest.macros.values():
            template_cache.get_node_template(macro)
        # Nor need each of them make the schemas that profile and project are held against.
        with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()):
            dbtRunner(manifest).invoke(
                [
                    *("--quiet", "--no-write-json", "--log-level-file", "none", "list"),
                    *("--select", "dim_model_versions", "--project-dir", str(PROJECT)),
                    *("--profiles-dir", str(PROJECT), "--target-path", folder),
                    *("--log-path", folder),
                ]
            )
    # Nothing of this is garbage: collections in the forks need not look at it, nor copy its pages.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def serve(folder: Path, owner: int) -> None:
    """Answer each connection with the child's process id, and its exit status when it has one."""
    waiting: dict[int, socket.socket] = {}
    ended, wake = os.pipe()
    os.set_blocking(ended, False)
    os.set_blocking(wake, False)
    address = folder / "socket"
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(str(address))
        listener.listen()
        selector.register(listener, selectors.EVENT_READ)
        selector.register(ended, selectors.EVENT_READ)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake)
        print("warm", flush=True)
        while _is_alive(owner):
            for key, _ in selector.select(timeout=1):
                if key.fileobj is listener:
                    connection, _ = listener.accept()
                    child = _fork(connection)
                    waiting[child] = connection
                else:
                    os.read(ended, 4096)
            _reap(waiting)
    for child in waiting:
        os.kill(child, signal.SIGKILL)
    address.unlink(missing_ok=True)
    (folder / "lock").unlink(missing_ok=True)
    folder.rmdir()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _reap(waiting: dict[int, socket.socket]) -> None:
    """Tell those who wait for children that have ended."""
    while waiting:
        child, status = os.waitpid(-1, os.WNOHANG)
        if not child:
            return
        with waiting.pop(child) as connection:
            _say(connection, os.waitstatus_to_exitcode(status))


def _say(connection: socket.socket, number: int) -> None:
    with suppress(OSError):  # whoever asked may be gone
        connection.sendall(f"{number}\n".encode())


def _fork(connection: socket.socket) -> int:
    """Start the child that does what the connection asks for."""
    with connection.makefile(encoding="utf-8", errors="surrogateescape") as asked:
        wanted = json.loads(asked.readline())
    child = os.fork()
    if child:
        _say(connection, child)
        return child
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os._exit(_status(wanted))


def _status(wanted: dict[str, Any]) -> int:
    """Do it, and return its exit status."""
    for descriptor, path in ((1, wanted["output"]), (2, wanted["errors"])):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.clear()
    os.environ.update(wanted["environment"])
    time.tzset()
    os.chdir(wanted["cwd"])
    sys.argv = [wanted["program"], *wanted["arguments"]]
    try:
        sys.exit({"flywheel": _flywheel, "dbt": _dbt}[wanted["program"]](wanted["arguments"]))
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _flywheel(arguments: list[str]) -> int:
    flywheel.cli.cli.main(arguments, prog_name="flywheel")
    return 0


def _dbt(arguments: list[str]) -> int:
    """`dbt` as its own command would run, but for the parse."""
    listen()
    # To write the manifest takes a tenth of a build's time, and nothing here reads it.
    quick = ["--no-write-json", *arguments]
    outcome = dbtRunner(parsed.load(load_settings())).invoke(quick)
    if outcome.exception is not None:
        print(outcome.exception, file=sys.stderr)
        return 2
    return 0 if outcome.success else 1


if __name__ == "__main__":
    load()
    serve(Path(sys.argv[1]), int(sys.argv[2]))
