"""What `flywheel validate` prints."""

from collections.abc import Iterable

from flywheel.terminal import Terminal
from flywheel.validation.report import RuleResult, ValidationReport
from flywheel.validation.words import short


def show_report(report: ValidationReport, terminal: Terminal) -> None:
    """Print one line per table, then what does not hold, and what cannot be judged yet.

    Args:
        report: what was found.
        terminal: where to print.
    """
    terminal.table(
        "Contracts",
        [
            ("gate", "left"),
            ("table", "left"),
            ("status", "left"),
            ("expectations", "right"),
            ("warn", "right"),
            ("stop", "right"),
        ],
        [*_tables(report.results), *_skipped(report)],
    )
    told = [result for result in report.results if result.status != "pass"]
    if told:
        terminal.line()
        terminal.table(
            "To look at",
            [
                ("status", "left"),
                ("table", "left"),
                ("column", "left"),
                ("found", "left"),
                ("why it matters", "left"),
            ],
            [
                (
                    result.status.replace("_", " "),
                    result.table,
                    result.column,
                    short(result.error or result.observed),
                    result.reason,
                )
                for result in told
            ],
        )


def _tables(results: Iterable[RuleResult]) -> list[tuple[str, ...]]:
    grouped: dict[tuple[str, str], list[RuleResult]] = {}
    for result in results:
        grouped.setdefault((result.gate, result.table), []).append(result)
    rows = []
    for (gate, table), found in grouped.items():
        warnings = sum(result.warns for result in found)
        stops = sum(result.stops for result in found)
        status = "stop" if stops else "warn" if warnings else "pass"
        rows.append((gate, table, status, str(len(found)), str(warnings), str(stops)))
    return rows


def _skipped(report: ValidationReport) -> list[tuple[str, ...]]:
    return [(skip.gate, skip.table, "skipped", "-", "-", "-") for skip in report.skipped]
