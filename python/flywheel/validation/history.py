"""What every validation run found, kept in the warehouse.

One row per run and expectation in `flywheel_state.validation_results`; the mart
`fct_validation_results` reads it. It keeps counts, statistics and the words of the suites, and no
value of the log: what a person typed must not outlive the person's request to be forgotten.
"""

from collections.abc import Iterator
from typing import Any

import duckdb

from flywheel.errors import FlywheelError
from flywheel.settings import Settings
from flywheel.validation import words
from flywheel.validation.report import ValidationReport
from flywheel.validation.suites import Suite
from flywheel.warehouse import connect

TABLE = "flywheel_state.validation_results"

# As macros/builds/create_state_tables.sql has them, for a warehouse that is older than this table.
COLUMNS = {
    "run_id": "varchar",
    "run_at": "timestamp",
    "expectation_id": "varchar",
    "gate": "varchar",
    "table_name": "varchar",
    "column_name": "varchar",
    "expectation": "varchar",
    "expected": "varchar",
    "severity": "varchar",
    "status": "varchar",
    "is_success": "boolean",
    "observed": "varchar",
    "observed_value": "double",
    "unexpected_count": "bigint",
    "reason": "varchar",
}


def append(settings: Settings, report: ValidationReport, suites: list[Suite]) -> int:
    """Add a run to the history, all of its rows or none.

    Args:
        settings: names the warehouse.
        report: what the run found.
        suites: the suites it judged, for the expectations of those it skipped.

    Returns:
        How many rows were added.

    Raises:
        FlywheelError: another process holds the warehouse, or it cannot be written.
    """
    rows = [*_judged(report), *_skipped(report, suites)]
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    places = ", ".join("?" for _ in COLUMNS)
    with connect(settings, read_only=False) as connection:
        # Whatever ends this before `commit`, an error or the process's death, leaves nothing.
        connection.begin()
        try:
            connection.execute("create schema if not exists flywheel_state")
            connection.execute(f"create table if not exists {TABLE} ({columns})")
            statement = f"insert into {TABLE} ({', '.join(COLUMNS)}) values ({places})"
            for row in rows:
                connection.execute(statement, [row[name] for name in COLUMNS])
            connection.commit()
        except duckdb.Error as error:
            raise FlywheelError(
                f"{TABLE} of {settings.database} cannot be written "
                f"({words.first_line(error)}); check the disk's space, then validate again."
            ) from error
    return len(rows)


def _judged(report: ValidationReport) -> Iterator[dict[str, Any]]:
    for result in report.results:
        yield {
            "run_id": report.run_id,
            "run_at": report.run_at,
            "expectation_id": result.expectation_id,
            "gate": result.gate,
            "table_name": result.table,
            "column_name": ", ".join(result.columns) or None,
            "expectation": result.expectation,
            "expected": result.expected,
            "severity": result.severity,
            "status": result.status,
            "is_success": result.success if result.is_enough_data else None,
            "observed": result.kept,
            "observed_value": result.observed_value,
            "unexpected_count": result.unexpected_count,
            "reason": result.reason,
        }


def _skipped(report: ValidationReport, suites: list[Suite]) -> Iterator[dict[str, Any]]:
    reasons = {(skip.gate, skip.table): skip.reason for skip in report.skipped}
    for suite in suites:
        if (suite.gate, suite.table) not in reasons:
            continue
        for rule in suite.rules:
            yield {
                "run_id": report.run_id,
                "run_at": report.run_at,
                "expectation_id": rule.id,
                "gate": suite.gate,
                "table_name": suite.table,
                "column_name": ", ".join(rule.columns) or None,
                "expectation": rule.type,
                "expected": words.expected(rule.type, rule.kwargs),
                "severity": rule.severity,
                "status": "skipped",
                "is_success": None,
                "observed": f"the table is empty: {reasons[suite.gate, suite.table]}",
                "observed_value": None,
                "unexpected_count": None,
                "reason": rule.reason,
            }
