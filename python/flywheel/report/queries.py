"""What the report reads: the questions in analyses/ and their answers.

Nothing here decides anything, and no SQL stands here. Every number of the report stands in a table
of the warehouse or is a count or a ratio of counts of one; rows come back small, however large the
log is.
"""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from flywheel.analyses import Row, execute

QUESTIONS = {
    "headline": "log_at_a_glance",
    "reconciliation": "rows_by_file",
    "quarantine": "quarantine_by_reason",
    "bots": "bots_by_reason",
    "bot_totals": "bots_in_all",
    "raw_click_rates": "clicks_by_rank",
    "propensities": "propensities",
    "diagnostics": "clicks_worth",
    "weights": "weights_of_clicks",
    "corrected_labels": "labels_that_moved",
    "manifest": "newest_training_set",
    "evaluations": "newest_evaluation",
    "verdict": "newest_verdict",
    "canary_decisions": "looks_at_canaries",
    "canary_comparisons": "metrics_at_looks",
    "ledger": "gate_against_users",
    "iterations": "turns_of_the_loop",
    "model_versions": "models_and_champions",
}
"""The analysis behind each field of `ReportData`."""


@dataclass(frozen=True)
class ReportData:
    """Everything the report shows, as rows of plain Python values.

    Attributes:
        headline: counts of searches, sessions, users, of documents shown to humans and those
            clicked, and the log's first and last search (UTC).
        reconciliation: one row an input file.
        quarantine: one row a (source, reason), with the first place it occurs.
        bots: one row a reason; a search may carry several.
        bot_totals: bot searches, sessions, visitors, each counted once.
        raw_click_rates: one row a (context, rank).
        propensities: rows of `fct_position_propensities`, the active ones first.
        diagnostics: rows of `fct_propensity_diagnostics`, the active ones first.
        weights: clicks of the training window by logarithmic bin of IPS weight.
        corrected_labels: the eight labels that correction moved by the most clicks.
        manifest: the newest training set, or None.
        evaluations: rows of the newest offline evaluation.
        verdict: what that came to, or None.
        canary_decisions: one row a (deployment, look), in order; one of each decides.
        canary_comparisons: one row a (deployment, metric, look), in order.
        ledger: one row a deployment, in order: predicted offline, observed online.
        iterations: one row a turn of the loop, in order.
        model_versions: one row a model, the newest first.
    """

    headline: Row
    reconciliation: list[Row]
    quarantine: list[Row]
    bots: list[Row]
    bot_totals: Row
    raw_click_rates: list[Row]
    propensities: list[Row]
    diagnostics: list[Row]
    weights: list[Row]
    corrected_labels: list[Row]
    manifest: Row | None
    evaluations: list[Row]
    verdict: Row | None
    canary_decisions: list[Row]
    canary_comparisons: list[Row]
    ledger: list[Row]
    iterations: list[Row]
    model_versions: list[Row]


def read_report_data(connection: duckdb.DuckDBPyConnection, project: Path) -> ReportData:
    """Read everything the report shows.

    Args:
        connection: the warehouse, open for reading.
        project: the dbt project's folder.

    Raises:
        FlywheelError: a table or a column the project builds is not there.
    """
    answers = execute(connection, project, list(QUESTIONS.values()))
    found = {field: answers[analysis] for field, analysis in QUESTIONS.items()}
    one = {field: found.pop(field) for field in ("headline", "bot_totals", "manifest", "verdict")}
    return ReportData(**found, **{field: rows[0] if rows else None for field, rows in one.items()})
