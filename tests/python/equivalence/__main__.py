"""`make test-equivalence`: the whole proof, its parts in processes side by side."""

import shutil
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click

from equivalence.proof import PARTS, Options, prove, show
from flywheel.terminal import Terminal

PROCESSES = 2


@click.command()
@click.option("--examples", default=12, show_default=True, help="Small logs for each schedule.")
@click.option("--seed", default=0, show_default=True, help="Of logs and schedules.")
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), help="Default: all.")
@click.option("--schedule", "schedules", multiple=True, help="By name. Default: all.")
@click.option("--allow-last-bits", is_flag=True, help="Let doubles differ by less than 1e-12.")
def main(parts: tuple[str, ...], **given: Any) -> None:
    """Build logs in many ways, and compare each with a rebuild, row by row."""
    options = Options(**given)
    scratch = Path(tempfile.mkdtemp(prefix="flywheel-equivalence-"))
    try:
        # dbt is at home in a process of its own: it keeps one connection for each.
        with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
            futures = [pool.submit(prove, part, scratch / part, options) for part in parts or PARTS]
            tallies = [tally for future in futures for tally in future.result()]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    sys.exit(not show(tallies, Terminal()))


if __name__ == "__main__":
    main()
