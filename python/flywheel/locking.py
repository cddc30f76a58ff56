"""One command at a time: two loops on one warehouse would each undo what the other decides."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from flywheel.errors import FlywheelError
from flywheel.settings import Settings
from flywheel.warehouse import wait_for


@contextmanager
def exclusive(settings: Settings, command: str) -> Iterator[None]:
    """Hold the right to change the warehouse and the registry for as long as a command runs.

    DuckDB's own lock is held for one step at a time; between two steps of a turn another turn
    could train on half of its tables. The right is an advisory lock (`flock`) on a file beside
    the warehouse: it ends with its process, however that ends, so nothing is ever left to clean.

    Args:
        settings: names the warehouse.
        command: what runs, for the sentence that others read.

    Raises:
        FlywheelError: another command still holds it after `FLYWHEEL_LOCK_WAIT` seconds.
    """
    path = settings.database.with_name(f"{settings.database.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as handle:

        def attempt() -> bool | str:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return _holder(path)
            return True

        found = wait_for(attempt, lambda holder: f"{holder} on {settings.database}")
        if isinstance(found, str):
            raise FlywheelError(
                f"{found[0].upper()}{found[1:]} is at work on {settings.database}; let it end, or "
                "wait longer with FLYWHEEL_LOCK_WAIT=SECONDS, and try again."
            )
        handle.truncate(0)
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        json.dump({"pid": os.getpid(), "command": command, "since": since}, handle)
        handle.flush()
        yield


def _holder(path: Path) -> str:
    """Who holds the lock, as that command wrote it down."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        return (
            f"another command (flywheel {note['command']}, process {note['pid']}, "
            f"since {note['since']})"
        )
    except (OSError, ValueError, KeyError, TypeError):
        return "another command"
