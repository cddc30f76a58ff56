"""`python -m bench`: logs, the ruler, the comparer."""

from pathlib import Path

import click

from bench import logs
from bench.compare import compare
from bench.ruler import ruler


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


main.add_command(ruler)
main.add_command(compare)

if __name__ == "__main__":
    main()
