"""Ctrl-C, noticed whatever a library makes of it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def interruptible(*, at_once: bool = True) -> Iterator[threading.Event]:
    """Notice Ctrl-C: libraries answer it with errors of their own, or swallow it.

    dbt prints a list of cancelled queries, DuckDB raises a RuntimeError, a half-imported module an
    ImportError.

    Args:
        at_once: raise KeyboardInterrupt when it comes; otherwise only note it.

    Yields:
        An event that is set once Ctrl-C was pressed; never outside the main thread, nor where
        Ctrl-C is ignored, as in what a script starts in the background.
    """
    seen = threading.Event()
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    ):
        yield seen
        return

    def interrupted(number: int, frame: Any) -> None:
        seen.set()
        if at_once:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before or signal.default_int_handler)
