"""What `flywheel contract` does."""

from pathlib import Path

import click

from flywheel.contract.check import differences
from flywheel.contract.compare import compare
from flywheel.contract.manifest import Project, parse_project
from flywheel.contract.odcs import as_yaml, contract, read_contract
from flywheel.errors import FlywheelError
from flywheel.settings import Settings
from flywheel.terminal import Terminal
from flywheel.warehouse import connect


def read(settings: Settings, terminal: Terminal) -> Project:
    """Parse the project, saying so."""
    with terminal.step("Parse") as step:
        project = parse_project(settings)
        step.result = f"{len(project.models)} models, {len(project.public)} of them public"
    return project


def check(project: Project, settings: Settings, terminal: Terminal) -> None:
    """Compare YAML, warehouse and fixed tables; print each difference.

    Raises:
        FlywheelError: they differ, or there is no warehouse.
    """
    with terminal.step("Check") as step:
        with connect(settings) as connection:
            found = differences(project, connection)
        columns = sum(len(model.columns) for model in project.models.values())
        step.result = f"{len(project.models)} tables, {columns} columns: {_count(found)}"
    _fail(found, "YAML, warehouse and fixed tables disagree", "build again, or mend what drifted")


def export(project: Project, settings: Settings, terminal: Terminal, path: str) -> None:
    """Write the contract to a path, to standard output (-), or (empty) to the home folder."""
    text = as_yaml(contract(project))
    if path == "-":
        click.echo(text, nl=False)
        return
    file = Path(path) if path else settings.home / "contract.odcs.yaml"
    with terminal.step("Export") as step:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        step.result = str(file)


def against(project: Project, terminal: Terminal, path: Path) -> None:
    """Compare the contract with a pinned one; print what is new and what breaks.

    Raises:
        FlywheelError: the pinned contract is no longer kept.
    """
    with terminal.step("Compare") as step:
        comparison = compare(read_contract(path), contract(project))
        step.result = f"{len(comparison.additions)} additions, {_count(comparison.breaking)}"
    for sentence in comparison.additions:
        terminal.line(f"  new: {sentence}")
    _fail(
        comparison.breaking,
        f"The contract pinned in {path} is no longer kept",
        "adapt the queries, then pin the present one with --export",
    )


def _count(found: list[str] | tuple[str, ...]) -> str:
    return "no difference" if not found else f"{len(found)} differences"


def _fail(found: list[str] | tuple[str, ...], what: str, remedy: str) -> None:
    if not found:
        return
    for sentence in found:
        click.echo(f"  {sentence}", err=True)
    places = "1 place" if len(found) == 1 else f"{len(found)} places"
    raise FlywheelError(f"{what} in {places}, listed above; {remedy}.")
