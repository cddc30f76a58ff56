"""A benchmark as a grid of cells, each measured once and kept as soon as it is known.

What a cell found is kept with a fingerprint of all it depends on, so that a run that was
interrupted goes on where it was, and a change measures anew what it touches.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flywheel.errors import FlywheelError
from flywheel.files import atomic_path
from flywheel.terminal import Terminal

Result = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """A piece of the grid that is measured at once.

    Attributes:
        name: 'part/row/number', the key of its result.
        fingerprint: of the SQL, the world and the settings that the result depends on.
        measure: finds the result, numbers by the names that its part has.
    """

    name: str
    fingerprint: str
    measure: Callable[[], Result]

    @property
    def part(self) -> str:
        """The part of the benchmark that it belongs to."""
        return self.name.partition("/")[0]

    @property
    def row(self) -> str:
        """Part and row, without the number."""
        return self.name.rpartition("/")[0]


def known(
    results: Path, cells: Sequence[Cell], columns: Mapping[str, Sequence[str]]
) -> dict[str, Result]:
    """What an earlier run has found of these cells, by name; without what no longer holds.

    Args:
        results: file of what is known.
        cells: of the whole grid.
        columns: names of the numbers of each part.

    Raises:
        FlywheelError: the file is not one that this benchmark wrote.
    """
    if not results.exists():
        return {}
    try:
        read = json.loads(results.read_text(encoding="utf-8"))["cells"]
        of = {cell.name: cell.fingerprint for cell in cells}
        found = {
            name: row["result"]
            for name, row in read.items()
            if row["fingerprint"] == of.get(name, "")
        }
        for name, result in found.items():
            if set(result) != set(columns[name.partition("/")[0]]):
                raise ValueError(f"{name} lacks a result")
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        said = f"{type(error).__name__}: {error}"
        raise FlywheelError(
            f"{results} is damaged ({said}); restore it, or delete it to measure everything again."
        ) from None
    return {cell.name: found[cell.name] for cell in cells if cell.name in found}


def keep(results: Path, cells: Sequence[Cell], found: Mapping[str, Result]) -> None:
    """Write what is known, a line a cell; an interruption leaves the file before or after it."""
    lines = [
        f'    "{cell.name}": '
        + json.dumps({"fingerprint": cell.fingerprint, "result": found[cell.name]})
        for cell in cells
        if cell.name in found
    ]
    with atomic_path(results) as temporary:
        text = '{\n  "cells": {\n' + ",\n".join(lines) + "\n  }\n}\n"
        temporary.write_text(text, encoding="utf-8")


def run(
    cells: Sequence[Cell],
    results: Path,
    terminal: Terminal,
    *,
    columns: Mapping[str, Sequence[str]],
    minutes: float = float("inf"),
    wanted: Callable[[Cell], bool] = lambda cell: True,
) -> dict[str, Result]:
    """Measure the cells that are not known yet, and keep each as soon as it is.

    Args:
        cells: of the whole grid.
        results: file of what is known.
        terminal: for progress.
        columns: names of the numbers of each part.
        minutes: after these no further cell is begun.
        wanted: whether to measure a cell; all by default.

    Returns:
        All that is known now, by name of the cell.
    """
    end = time.monotonic() + 60 * minutes
    found = known(results, cells, columns)
    keep(results, cells, found)
    left = [cell for cell in cells if cell.name not in found and wanted(cell)]
    if found:
        terminal.line(f"{len(found)} of {len(cells)} cells are known from an earlier run.")
    for row in dict.fromkeys(cell.row for cell in left):
        mine = [cell for cell in left if cell.row == row]
        with terminal.step(row) as step:
            for done, cell in enumerate(mine):
                step.result = f"{done} of {len(mine)} measured"
                if time.monotonic() >= end:
                    return found
                step.tick(done, len(mine), cell.name)
                found[cell.name] = _rounded(cell.measure())
                keep(results, cells, found)
            step.result = f"{len(mine)} measured"
    return found


def _rounded(result: Result) -> Result:
    """Six digits: what is behind them differs between machines."""
    return {
        name: float(f"{value:.6g}") if isinstance(value, float) else value
        for name, value in result.items()
    }
