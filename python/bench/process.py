"""Runs one measured step as a process of its own.

So imports and start-up count, as they do for users. Peak memory is what the kernel accounts to that
process (maximum resident set size).
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from flywheel.errors import FlywheelError
from flywheel.settings import Settings

LAST_LINES = 10
"""Of a failed step, for the message: dbt's own last one may only be advice."""
DBT = "from dbt.cli.main import cli; cli()"


def measure(
    name: str, command: Sequence[str], settings: Settings, *, code: Path | None = None
) -> tuple[float, float]:
    """Wall seconds and largest resident set, in MB of 10^6 bytes, of a process.

    Args:
        name: of the step, for the message.
        command: of the process.
        settings: paths, which it gets as environment variables.
        code: folder of its Python packages; by default those that run this.

    Raises:
        FlywheelError: it failed; the sentence ends with its last lines.
    """
    environment = {
        **os.environ,
        **settings.environment(),
        "FLYWHEEL_PROJECT": str(settings.project),
        "PYTHONPATH": str(code or Path(__file__).parents[1]),
        "NO_COLOR": "1",
    }
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=settings.project, env=environment, stdout=output, stderr=output
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output.seek(0)
            lines = output.read().decode(errors="replace").split("\n")
            said = [line.strip() for line in lines if line.strip()][-LAST_LINES:] or ["nothing"]
            raise FlywheelError(f"The step {name} failed; it said: {' '.join(said)}")
    scale = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    return seconds, usage.ru_maxrss * scale / 1e6
