"""`python -m bench`: every benchmark that needs nothing of the tests, and the comparer."""

from pathlib import Path

import click

from bench import logs
from bench.bots import bots
from bench.canary import canary
from bench.compare import compare
from bench.ruler import ruler
from bench.steps import steps


@click.group()
def main() -> None:
    """Measure the project beside what the same work costs by hand."""


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--impressions", default=1e6, show_default=True, help="Documents shown.")
@click.option("--form", type=click.Choice(logs.FORMS), default="flat", show_default=True)
def log(folder: Path, impressions: float, form: str) -> None:
    """Write a log into a folder."""
    click.echo(logs.write_log(folder, int(impressions), form))


for command in (steps, ruler, bots, canary, compare):
    main.add_command(command)

if __name__ == "__main__":
    main()
