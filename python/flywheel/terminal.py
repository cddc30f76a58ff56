"""What the commands print: one line a step, a bar while it runs, tables that line up."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

Tick = Callable[..., None]  # (done, in all, label)


class Step:
    """A running step; `tick` moves its bar, `result` is what its line says at the end."""

    def __init__(self, tick: Tick) -> None:
        """Make a step whose bar is moved by `tick`."""
        self.tick = tick
        self.result = ""


class Terminal:
    """Prints steps and tables; silent where a script asked for JSON."""

    def __init__(self, *, quiet: bool = False) -> None:
        """Write to standard output, or nowhere when quiet."""
        self.quiet = quiet
        # Into a file or a pipe, a table takes the width it needs.
        width = None if sys.stdout.isatty() else 200
        self.console = Console(file=sys.stdout, highlight=False, soft_wrap=True, width=width)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show that something is under way, and afterwards what came of it and how long it took."""
        started = time.monotonic()
        if self.quiet or not self.console.is_terminal:
            step = Step(lambda done, total, label="": None)
            yield step
        else:
            with Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[label]}", style="dim"),
                TimeElapsedColumn(),
                console=self.console,
                transient=True,
            ) as progress:
                task = progress.add_task(f"{title:<10}", total=None, label="")
                step = Step(
                    lambda done, total, label="": progress.update(
                        task, completed=done, total=total or None, label=label[:48]
                    )
                )
                yield step
        self.line(f"{title:<10} {step.result}  ({time.monotonic() - started:.1f} s)")

    def line(self, text: str = "", *, style: str | None = None) -> None:
        """Print one line."""
        if not self.quiet:
            self.console.print(Text(text, style=style or ""))

    def table(
        self, title: str, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]
    ) -> None:
        """Print a table.

        Args:
            title: its heading.
            columns: (heading, `left` or `right`).
            rows: text of every cell.
        """
        if self.quiet:
            return
        table = Table(
            title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0)
        )
        for heading, justify in columns:
            table.add_column(heading, justify="right" if justify == "right" else "left")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self.console.print(table)
