"""Puts what a benchmark found between the two marks of its page in docs/."""

from pathlib import Path

from flywheel.errors import FlywheelError


def write_page(page: Path, tables: str, mark: str) -> None:
    """Put the tables between the marks of the page.

    Raises:
        FlywheelError: the page has not exactly two marks.
    """
    parts = page.read_text(encoding="utf-8").split(mark)
    if len(parts) != 3:
        raise FlywheelError(f"{page} must hold the line {mark} twice, around the tables; add it.")
    parts[1] = f"\n\n{tables}\n"
    page.write_text(mark.join(parts), encoding="utf-8")
