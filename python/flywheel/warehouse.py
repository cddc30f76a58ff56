"""Connections to the DuckDB warehouse."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from flywheel.errors import FlywheelError
from flywheel.settings import Settings

LOCK_WAIT_SECONDS = 60.0


@contextmanager
def connect(
    settings: Settings, *, read_only: bool = True, wait_seconds: float | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the warehouse, waiting for another process that holds it.

    Args:
        settings: names the file.
        read_only: many readers may be open at once, but only while nobody writes.
        wait_seconds: how long to wait for the lock; None means `FLYWHEEL_LOCK_WAIT` (60).

    Yields:
        A connection whose session time zone is UTC.

    Raises:
        FlywheelError: the file is missing, is no DuckDB file, or stays locked.
    """
    path = settings.database
    if read_only and not path.exists():
        raise FlywheelError(f"There is no warehouse at {path}; run `flywheel build` first.")
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + (_lock_wait() if wait_seconds is None else wait_seconds)
    while True:
        try:
            connection = duckdb.connect(str(path), read_only=read_only)
            break
        except duckdb.IOException as error:
            message = str(error)
            if "lock" not in message.lower():
                raise FlywheelError(
                    f"The warehouse {path} cannot be opened ({_first_line(message)}); "
                    "restore it from a backup, or move it away and build again."
                ) from error
            if time.monotonic() > deadline:
                raise FlywheelError(
                    f"The warehouse {path} is held by another process; "
                    "close it (an open DuckDB shell counts) and try again."
                ) from error
            time.sleep(0.2)
    try:
        connection.execute("set TimeZone = 'UTC'")
        yield connection
    finally:
        connection.close()


def _lock_wait() -> float:
    text = os.environ.get("FLYWHEEL_LOCK_WAIT", "")
    try:
        return float(text) if text else LOCK_WAIT_SECONDS
    except ValueError:
        raise FlywheelError(
            f"FLYWHEEL_LOCK_WAIT is {text}; give a number of seconds, such as 60."
        ) from None


def _first_line(message: str) -> str:
    return message.splitlines()[0].rstrip(".") if message else "unknown error"
