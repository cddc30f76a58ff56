"""The report as one HTML file that needs nothing else."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import matplotlib

from flywheel import __version__
from flywheel.errors import FlywheelError
from flywheel.files import atomic_path
from flywheel.report import charts, sections, words
from flywheel.report.queries import ReportData, read_report_data
from flywheel.report.sections import Truth
from flywheel.report.svg import write_picture
from flywheel.settings import Settings
from flywheel.warehouse import connect

Progress = Callable[[int, int, str], None]


def write_report(
    settings: Settings,
    *,
    truth: Mapping[str, Any] | None = None,
    output: Path | None = None,
    on_progress: Progress | None = None,
) -> Path:
    """Write the report of the warehouse as one HTML file.

    Args:
        settings: names the warehouse and the default place, `FLYWHEEL_HOME/reports/report.html`.
        truth: what a simulation knows: `propensities` (a list by rank, rank 1 first) and `turns`
            (a list of `{"turn", "loop", "true_ndcg"}`, optionally `"ci_low"`, `"ci_high"`; loops
            are `flywheel`, `raw clicks`, `production`). Both optional.
        output: another place.
        on_progress: called with (steps done, steps in all, what comes next).

    Returns:
        The path written. The file appears whole or not at all.

    Raises:
        FlywheelError: the warehouse is missing, locked or lacks a table; the truth is malformed;
            the file cannot be written.
    """
    known = _known(truth)
    tell = on_progress or (lambda done, total, label: None)
    path = Path(output) if output is not None else settings.reports / "report.html"
    with connect(settings) as connection:
        data = read_report_data(connection, settings.project)
    page = _render(data, known, settings, tell)
    with _writing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def write_curve_picture(
    settings: Settings, output: Path, *, truth: Mapping[str, Any] | None = None
) -> Path:
    """Write the README's picture: the position-bias curve and, if known, true nDCG@10 by turn.

    Args:
        settings: names the warehouse.
        output: a `.png` or `.svg` path.
        truth: as for `write_report`.

    Returns:
        The path written.

    Raises:
        FlywheelError: as for `write_report`; or there is nothing to draw yet.
    """
    output = Path(output)
    kind = output.suffix.lower().lstrip(".")
    if kind not in ("png", "svg"):
        raise FlywheelError(f"The picture {output} must end in .png or .svg; name it so.")
    known = _known(truth)
    with connect(settings) as connection:
        data = read_report_data(connection, settings.project)
    with matplotlib.rc_context(charts.style(charts.WIDE)):
        figure = charts.curve_picture(
            data.propensities, data.raw_click_rates, known.propensities, known.turns
        )
        if figure is None:
            raise FlywheelError(
                "There is no position-bias curve to draw: fct_position_propensities has no active "
                "row with a propensity; run `flywheel build` on a log with clicks first."
            )
        with _writing(output) as temporary:
            write_picture(figure, temporary, kind)
    return output


def _known(truth: Mapping[str, Any] | None) -> Truth:
    known = sections.read_truth(truth)
    if known is None:
        raise FlywheelError(
            "The truth is malformed: `propensities` must be numbers above 0, rank 1 first, and "
            "each of `turns` needs a number `turn`, a name `loop` and a number `true_ndcg`; mend "
            "it or leave it out."
        )
    return known


def _render(data: ReportData, truth: Truth, settings: Settings, tell: Progress) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("flywheel.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(words.FILTERS)
    environment.globals.update(
        interval=words.interval,
        measure=words.measure,
        difference=words.difference,
        difference_interval=words.difference_interval,
        period=words.period,
    )
    parts: dict[str, Callable[[], Any]] = {
        "cards": lambda: sections.cards(data),
        "reconciliation": lambda: sections.reconciliation(data),
        "bots": lambda: sections.bots(data),
        "curve": lambda: sections.curve(data, truth),
        "weights": lambda: sections.weights(data),
        "offline": lambda: sections.offline(data),
        "deployments": lambda: sections.deployments(data),
        "ledger": lambda: sections.ledger(data),
        "turns": lambda: sections.turns(data, truth),
    }
    shown = {}
    for done, (name, prepare) in enumerate(parts.items()):
        tell(done, len(parts), name)
        shown[name] = prepare()
    tell(len(parts), len(parts), "page")
    return environment.get_template("template.html.j2").render(
        data=data,
        version=__version__,
        database=settings.database.name,
        written_at=datetime.now(UTC),
        **shown,
    )


@contextmanager
def _writing(path: Path) -> Iterator[Path]:
    """A temporary path that takes the place of `path`; what the disk objects to is a sentence."""
    try:
        with atomic_path(path) as temporary:
            yield temporary
    except OSError as error:
        raise FlywheelError(
            f"The file {path} cannot be written ({error.strerror}); "
            "choose another place or make room."
        ) from error
