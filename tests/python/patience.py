"""How long the tests wait before they call it a hang: `FLYWHEEL_TEST_PATIENCE`, in seconds.

Every time limit of the tests is this one. It is far longer than anything takes, so that a busy
machine is slow and never wrong.
"""

import os
import time
from collections.abc import Callable

PATIENCE = float(os.environ.get("FLYWHEEL_TEST_PATIENCE", "900"))


def wait_until(happened: Callable[[], bool], what: str, *, every: float = 0.01) -> None:
    """Wait for an event.

    Args:
        happened: asked again and again.
        what: the event in words, for the failure.
        every: seconds between two questions.

    Raises:
        TimeoutError: it has not happened within `PATIENCE`.
    """
    deadline = time.monotonic() + PATIENCE
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {PATIENCE:.0f} s")
        time.sleep(every)
