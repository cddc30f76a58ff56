"""What a validation found, in words a person can act on."""

import re
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from flywheel.errors import FlywheelError


@dataclass(frozen=True)
class RuleResult:
    """One expectation's outcome.

    Attributes:
        gate: raw, behavior or training.
        table: the table's name.
        columns: the columns judged; empty when the table is.
        expectation: Great Expectations' name of the expectation.
        expected: what should hold, in words.
        observed: what was found, in words.
        severity: stop or warn.
        success: whether it holds.
        reason: why it matters.
        error: why it could not be evaluated, or None. Such a result stops whatever its severity.
        expectation_id: the expectation, the same in each run.
        observed_value: the number behind `observed`, or None.
        unexpected_count: rows that break the expectation; None where it is not about rows.
        summary: `observed` without the values of any row.
        is_enough_data: False where a drift cannot be judged yet; such a result is a success.
    """

    gate: str
    table: str
    columns: tuple[str, ...]
    expectation: str
    expected: str
    observed: str
    severity: str
    success: bool
    reason: str
    error: str | None = None
    expectation_id: str = ""
    observed_value: float | None = None
    unexpected_count: int | None = None
    summary: str = ""
    is_enough_data: bool = True

    @property
    def status(self) -> str:
        """Stop, warn, pass or not_enough_data."""
        if self.stops:
            return "stop"
        if self.warns:
            return "warn"
        return "pass" if self.is_enough_data else "not_enough_data"

    @property
    def kept(self) -> str:
        """What the history keeps of it: what was found, without a value of the log in it."""
        if self.error is None:
            return self.summary
        return "cannot be evaluated: " + re.sub(r"'[^']*'", "'...'", self.error)

    @property
    def column(self) -> str:
        """The columns judged, comma-separated; `(table)` when there is none."""
        return ", ".join(self.columns) or "(table)"

    @property
    def stops(self) -> bool:
        """Whether the gate must stay shut because of this."""
        return not self.success and (self.severity == "stop" or self.error is not None)

    @property
    def warns(self) -> bool:
        """Whether it failed without shutting the gate."""
        return not self.success and not self.stops

    @property
    def sentence(self) -> str:
        """One clause: table, column, expectation, observed value, and why it matters."""
        where = f"table {self.table}"
        if self.columns:
            where += f", column{'s' if len(self.columns) > 1 else ''} {self.column}"
        if self.error is not None:
            return f"{where}: {self.expectation} cannot be evaluated ({self.error})"
        return (
            f"{where}: {self.expectation} ({self.expected}) fails with {self.observed}: "
            f"{_lower_first(self.reason)}"
        )


@dataclass(frozen=True)
class Skipped:
    """A suite that was not judged, because its table may be empty now, and is.

    Attributes:
        gate: raw, behavior or training.
        table: the table's name.
        reason: why it may be empty.
    """

    gate: str
    table: str
    reason: str


@dataclass(frozen=True)
class ValidationReport:
    """Everything one call of `validate` found.

    Attributes:
        gates: the gates that were judged.
        results: one per expectation, in the order of the suites' files.
        skipped: suites of tables that are empty for a good reason.
        data_docs: the index page of the Data Docs.
        seconds: wall time, with the import of Great Expectations.
        run_id: names the run in the history; sorts by time.
        run_at: naive UTC moment when it began.
        history_error: why the history lacks this run, or None.
    """

    gates: tuple[str, ...]
    results: tuple[RuleResult, ...]
    skipped: tuple[Skipped, ...]
    data_docs: Path
    seconds: float
    run_id: str
    run_at: datetime
    history_error: str | None = None

    @property
    def stops(self) -> tuple[RuleResult, ...]:
        """Failures that keep a gate shut."""
        return tuple(result for result in self.results if result.stops)

    @property
    def warnings(self) -> tuple[RuleResult, ...]:
        """Failures to look at that keep no gate shut."""
        return tuple(result for result in self.results if result.warns)

    @property
    def success(self) -> bool:
        """Whether every gate may open."""
        return not self.stops

    def sentence(self) -> str:
        """One line for people: how many expectations held, and what to look at."""
        text = f"{len(self.results) - len(self.stops) - len(self.warnings)} of "
        text += f"{len(self.results)} expectations hold"
        if self.warnings:
            first = self.warnings[0]
            text += f", {len(self.warnings)} to look at (first: {first.sentence})"
        return text

    def raise_for_stops(self) -> None:
        """Raise the first failure that stops.

        Raises:
            ValidationFailed: at least one expectation of severity stop failed.
            FlywheelError: none did, but the results could not be kept.
        """
        # What shuts a gate is the graver news of the two.
        if self.stops:
            raise ValidationFailed(self)
        if self.history_error is not None:
            raise FlywheelError(
                f"All gates are open, but the history lacks this run: {self.history_error} "
                "With --no-history nothing is written."
            )

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-ready values."""
        return {
            "success": self.success,
            "run_id": self.run_id,
            "run_at": self.run_at.isoformat(),
            "gates": list(self.gates),
            "n_expectations": len(self.results),
            "n_stops": len(self.stops),
            "n_warnings": len(self.warnings),
            "data_docs": str(self.data_docs),
            "history_error": self.history_error,
            "seconds": round(self.seconds, 3),
            "skipped": [asdict(skipped) for skipped in self.skipped],
            "results": [_plain(result) for result in self.results],
        }


class ValidationFailed(FlywheelError):  # noqa: N818 - it is a finding about the data
    """A gate stays shut: the data breaks a contract.

    Attributes:
        report: everything that was found.
    """

    def __init__(self, report: ValidationReport) -> None:
        """Say the first stop in one sentence, and where the others stand."""
        first, *others = report.stops
        more = f" (and {len(others)} more)" if others else ""
        if report.history_error is not None:
            more += f" (and the history lacks this run: {report.history_error})"
        super().__init__(
            f"The {first.gate} gate is shut: {first.sentence}{more}; "
            f"open {report.data_docs} for the rows, mend them or the model, and validate again."
        )
        self.report = report


def _plain(result: RuleResult) -> dict[str, Any]:
    plain = asdict(result) | {"columns": list(result.columns), "status": result.status}
    del plain["summary"]
    return plain


def _lower_first(text: str) -> str:
    # An acronym or a name in capitals stays as it is.
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
