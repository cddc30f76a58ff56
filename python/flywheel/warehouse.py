"""Connections to the DuckDB warehouse, and what its failures mean to a person."""

import errno
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import duckdb

from flywheel.errors import FlywheelError
from flywheel.settings import Settings

T = TypeVar("T")

LOCK_WAIT_SECONDS = 60.0
FIRST_WORD_SECONDS = 1.0
"""How long a wait is silent; after it a line says what is waited for."""
NEXT_WORD_SECONDS = 10.0
FULL_DISK_BYTES = 64 * 1024 * 1024
"""Less free space than this, and an engine that stopped without a reason had a full disk."""

# What DuckDB says, and the fault it means; the first that matches counts.
_FAULTS: tuple[tuple[str, str], ...] = (
    ("locked", r"could not set lock on file|conflicting lock is held"),
    ("full", r"no space left on device|disk quota exceeded|file too large|not enough disk space"),
    ("spill", r"max_temp_directory_size|failed to offload data block"),
    ("memory", r"out of memory|could not allocate block|cannot allocate memory|bad_alloc"),
    (
        "version",
        r"version number \d+|storage version|newer version of duckdb|serialization version",
    ),
    (
        "protected",
        r"read-only file system|permission denied|operation not permitted"
        r"|attached in read-only mode|database is in read-only",
    ),
    ("folder", r"is a directory"),
    (
        "damaged",
        r"corrupt|does not match stored checksum|not a valid duckdb database|input/output error"
        r"|could not read enough bytes|failed to deserialize|while replaying wal",
    ),
    ("stopped", r"database has been invalidated"),
)


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
        FlywheelError: the file is missing, is no DuckDB file, is damaged or write-protected,
            stays locked, or the disk or the memory ran out while it was used.
    """
    path = settings.database
    if read_only and not path.exists():
        raise FlywheelError(f"There is no warehouse at {path}; run `flywheel build` first.")
    path.parent.mkdir(parents=True, exist_ok=True)
    _check_magic(path)

    def attempt() -> duckdb.DuckDBPyConnection | str:
        try:
            return duckdb.connect(str(path), read_only=read_only)
        except duckdb.Error as error:
            if fault_of(str(error)) == "locked":
                return _holder(str(error))
            raise FlywheelError(
                fault_sentence(str(error), path)
                or f"The warehouse {path} cannot be opened ({_first_line(str(error))}); "
                "restore it from a backup, or move it away and build again."
            ) from error

    connection = wait_for(
        attempt,
        lambda holder: f"the warehouse {path}, which {holder} holds",
        wait_seconds=wait_seconds,
    )
    if isinstance(connection, str):
        raise FlywheelError(held_sentence(path, connection))
    try:
        with explained(path):
            connection.execute("set TimeZone = 'UTC'")
            yield connection
    finally:
        connection.close()


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what DuckDB says of a full disk, a damaged file and the like into a sentence.

    Other errors pass as they are: they are the caller's.

    Raises:
        FlywheelError: the fault, which file, and what to do.
    """
    try:
        yield
    except duckdb.Error as error:
        sentence = fault_sentence(str(error), path)
        if sentence is None:
            raise
        raise FlywheelError(sentence) from error


def fault_of(message: str) -> str | None:
    """The fault that an engine's message means: locked, full, memory, damaged ...; or None."""
    lowered = message.lower()
    return next((fault for fault, words in _FAULTS if re.search(words, lowered)), None)


def fault_sentence(message: str, path: Path) -> str | None:
    """What happened to the warehouse and what to do, where a message names such a fault.

    Args:
        message: what DuckDB, or dbt in its name, said.
        path: the warehouse file.

    Returns:
        One sentence, or None where the message is about something else.
    """
    fault = fault_of(message)
    other = _other_file(message, path)
    if fault in ("protected", "damaged", "folder") and other is not None:
        return (
            f"The file {other} cannot be read ({_reason(message)}); "
            "mend or replace it, then run the command again."
        )
    if fault == "stopped":
        fault = "full" if _is_full(path.parent) else "damaged"
    if fault == "locked":
        return held_sentence(path, _holder(message))
    if fault == "full":
        return (
            f"The disk of the warehouse {path} is full; make room there (or move it with "
            "FLYWHEEL_DB) and run the command again, which goes on from the last whole tables."
        )
    if fault == "spill":
        return (
            f"Neither the memory limit nor the disk of the warehouse {path} holds what this log "
            "needs; raise FLYWHEEL_MEMORY (for example FLYWHEEL_MEMORY=8GB), or make room on the "
            "disk, and run the command again."
        )
    if fault == "memory":
        return memory_sentence()
    if fault == "version":
        return (
            f"The warehouse {path} was written by another version of DuckDB than this one "
            f"({duckdb.__version__}); open it with the version that wrote it, or move it away "
            "and build again."
        )
    if fault == "protected":
        return (
            f"The warehouse {path} cannot be written ({_reason(message)}); give this user the "
            "right to write the file and its folder, or name another file with FLYWHEEL_DB."
        )
    if fault == "folder":
        return (
            f"The warehouse {path} is a folder; name a file with FLYWHEEL_DB, "
            "such as warehouse.duckdb in it."
        )
    if fault == "damaged":
        return (
            f"The warehouse {path} is damaged or no DuckDB file ({_first_line(message)}); "
            "restore it from a backup, or move it away and build again."
        )
    return None


def held_sentence(path: Path, holder: str) -> str:
    """The sentence for a warehouse that somebody else does not let go."""
    return (
        f"The warehouse {path} is held by {holder}; close it (an open DuckDB shell counts), "
        "or wait longer with FLYWHEEL_LOCK_WAIT=SECONDS, and try again."
    )


def memory_sentence() -> str:
    """The sentence for a memory limit that is too small even with spilling to disk."""
    limit = os.environ.get("FLYWHEEL_MEMORY", "2GB")
    return (
        f"The memory limit of {limit} is too small for this log; raise FLYWHEEL_MEMORY "
        "(for example FLYWHEEL_MEMORY=8GB), or shorten training_window_days."
    )


def wait_for(
    attempt: Callable[[], T | str],
    what: Callable[[str], str],
    *,
    wait_seconds: float | None = None,
) -> T | str:
    """Try until it works or the time is up, and say on standard error what is waited for.

    Args:
        attempt: returns what was wanted or, as text, who is in the way.
        what: names what is waited for, from who is in the way.
        wait_seconds: None means `FLYWHEEL_LOCK_WAIT` (60).

    Returns:
        What was wanted, or who was still in the way when the time was up.

    Raises:
        FlywheelError: `FLYWHEEL_LOCK_WAIT` is no number.
    """
    limit = lock_wait() if wait_seconds is None else wait_seconds
    started = time.monotonic()
    next_word = FIRST_WORD_SECONDS
    while True:
        found = attempt()
        waited = time.monotonic() - started
        if not isinstance(found, str) or waited > limit:
            return found
        if waited >= next_word:
            print(
                f"flywheel: waiting for {what(found)} ({waited:.0f} of {limit:.0f} s) ...",
                file=sys.stderr,
                flush=True,
            )
            next_word = waited + NEXT_WORD_SECONDS
        time.sleep(min(0.2, max(limit - waited, 0.01)))


def lock_wait() -> float:
    """Seconds to wait for a warehouse in use: `FLYWHEEL_LOCK_WAIT`, or 60.

    Raises:
        FlywheelError: the variable is no number of seconds.
    """
    text = os.environ.get("FLYWHEEL_LOCK_WAIT", "")
    try:
        seconds = float(text) if text else LOCK_WAIT_SECONDS
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise FlywheelError(f"FLYWHEEL_LOCK_WAIT is {text}; give a number of seconds, such as 60.")
    return seconds


def _check_magic(path: Path) -> None:
    """Refuse what is no DuckDB file before DuckDB looks at it.

    It would take a file of another database for that, and try to download what reads it.
    """
    if not path.is_file():
        return  # a new warehouse, or what DuckDB says of a folder
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return  # DuckDB says why
    if head and head[8:] != b"DUCK":
        raise FlywheelError(fault_sentence("Not a valid DuckDB database file", path))


def _holder(message: str) -> str:
    """Who holds the lock, as far as DuckDB knows."""
    found = re.search(r"\(PID (\d+)\)", message)
    return f"another process ({found[1]})" if found else "another process"


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < FULL_DISK_BYTES
    except OSError:
        return False


def _other_file(message: str, path: Path) -> str | None:
    """A file that the message names and that is neither the warehouse nor one of its helpers."""
    named = re.search(r'file "([^"\n]+)"', message)
    return named[1] if named and not named[1].startswith(str(path)) else None


def _reason(message: str) -> str:
    for number in (errno.EROFS, errno.EACCES, errno.EPERM, errno.EISDIR):
        if os.strerror(number).lower() in message.lower():
            return os.strerror(number).lower()
    return _first_line(message)


def _first_line(message: str) -> str:
    return message.splitlines()[0].rstrip(".") if message else "unknown error"
