"""Runs `core.sql`, the hand-written script that the project is measured beside.

As a process of its own: `python -m bench.core LOG.parquet DATABASE`.
"""

import os
import sys
from pathlib import Path

import duckdb

SCRIPT = Path(__file__).with_name("core.sql")
STEPS = 20


def run_core(log: Path, database: Path, *, steps: int = STEPS) -> None:
    """Do the core of the project's work on a flat Parquet log.

    Args:
        log: the log.
        database: where its tables go; made anew.
        steps: of the fixed point.
    """
    database.unlink(missing_ok=True)
    config = {
        "memory_limit": os.environ.get("FLYWHEEL_MEMORY", "2GB"),
        "threads": os.environ.get("FLYWHEEL_THREADS", "2"),
    }
    with duckdb.connect(str(database), config=config) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set variable flat_log = ?", [str(log)])
        connection.execute("set variable ipf_steps = ?", [steps])
        connection.execute(SCRIPT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    run_core(Path(sys.argv[1]), Path(sys.argv[2]))
