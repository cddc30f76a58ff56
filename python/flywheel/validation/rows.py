"""Expectations of this project's own, made of Great Expectations' query expectation.

As it comes, that keeps either only the number of rows or up to two hundred of them; a person who
opens the Data Docs wants a handful. Importing this module imports Great Expectations: do it
inside a function.
"""

from typing import Any

from great_expectations.expectations.core import UnexpectedRowsExpectation
from great_expectations.render.components import LegacyDiagnosticRendererType
from great_expectations.render.renderer.renderer import renderer

from flywheel.validation import words

ROWS_KEPT = 5


class UnexpectedRowsShown(UnexpectedRowsExpectation):
    """Fails when its query returns a row, and shows the first of them."""

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        count = metrics["unexpected_rows_query.row_count"]
        rows = metrics["unexpected_rows_query.table"][:ROWS_KEPT]
        return {
            "success": count == 0,
            "result": {
                "observed_value": count,
                # As text: a row may hold any type of the warehouse, JSON files only a few.
                "details": {
                    "unexpected_rows": [
                        {key: words.short(value) for key, value in row.items()} for row in rows
                    ]
                },
            },
        }

    @classmethod
    @renderer(renderer_type=LegacyDiagnosticRendererType.OBSERVED_VALUE)
    def _diagnostic_observed_value_renderer(
        cls, configuration: Any = None, result: Any = None, runtime_configuration: Any = None, **_
    ) -> str:
        return words.observed(result.result) if result is not None else ""


class ExpectNoDrift(UnexpectedRowsExpectation):
    """Fails when a row of int_drift_measures says that its measure drifted.

    The arithmetic is the model's; what it found is observed whether the expectation holds or not.
    Its query returns the row of one measure: finding, distance, is_enough_data, is_drift.
    """

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        rows = metrics["unexpected_rows_query.table"]
        if len(rows) != 1:
            return {"success": False, "result": {"observed_value": "no such measure"}}
        (row,) = rows
        return {
            "success": not row["is_drift"],
            "result": {
                "observed_value": str(row["finding"]),
                "details": {
                    "distance": row["distance"],
                    "is_enough_data": bool(row["is_enough_data"]),
                },
            },
        }
