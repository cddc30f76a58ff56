"""What the report reads: one query a table, aggregated in the warehouse.

Nothing here decides anything. Every number of the report stands in a table of the warehouse or is a
count or a ratio of counts of one; rows come back small, however large the log is.
"""

from dataclasses import dataclass
from typing import Any

import duckdb

from flywheel.errors import FlywheelError

Row = dict[str, Any]

# Columns the report cannot do without. Other columns are used where they are there.
NEEDED: dict[str, tuple[str, ...]] = {
    "fct_searches": (
        "search_id", "session_id", "user_id", "searched_at", "is_bot", "bot_reasons", "n_clicks",
    ),
    "fct_sessions": ("session_id", "is_bot", "bot_reasons"),
    "fct_impressions": ("search_id", "doc_id", "rank", "clicked", "propensity_context"),
    "fct_input_reconciliation": (
        "source", "source_file", "n_rows", "n_used", "n_merged", "n_quarantined",
    ),
    "fct_quarantined_rows": ("source", "source_file", "row_number", "reason"),
    "fct_position_propensities": (
        "estimator", "context", "rank", "propensity", "ci_low", "ci_high", "n_impressions",
        "n_clicks", "is_identified", "is_active",
    ),
    "fct_propensity_diagnostics": (
        "estimator", "context", "is_active", "n_clicks", "effective_sample_size",
        "max_weight_share", "clipped_share", "alpha", "alpha_std_error", "n_connected_components",
        "choice_reason",
    ),
    "int_click_weights": ("clicked", "ips_weight"),
    "fct_weak_labels": (
        "query", "doc_id", "window_end", "label", "naive_ctr", "ips_ctr", "n_impressions",
        "n_clicks",
    ),
    "fct_training_manifest": (
        "manifest_id", "window_start", "window_end", "embargo_end", "evaluation_start",
        "evaluation_end", "n_pairs", "n_groups", "n_rows", "fingerprint", "vars", "is_leak_free",
        "is_trainable", "not_trainable_reason",
    ),
    "fct_offline_evaluations": (
        "evaluation_id", "model_version", "champion_version", "window_start", "window_end",
        "metric", "value", "ci_low", "ci_high", "delta", "delta_ci_low", "delta_ci_high", "n",
        "n_users", "n_clicks", "evaluated_at", "is_champion", "is_gate_metric", "is_better",
    ),
    "fct_offline_verdicts": (
        "evaluation_id", "model_version", "verdict", "reason", "is_deployable", "relative_delta",
        "relative_delta_ci_low", "relative_delta_ci_high", "support", "evaluated_at",
    ),
    "fct_canary_decisions": (
        "deployment_id", "look", "look_date", "decision", "reason", "e_value", "ci_low", "ci_high",
        "delta", "metric", "srm_p", "n_champion_users", "n_canary_users", "is_final",
        "n_mixed_users",
    ),
    "fct_canary_comparisons": (
        "deployment_id", "look", "metric", "priority", "label", "kind", "champion_value",
        "canary_value", "delta", "ci_low", "ci_high", "e_value",
    ),
    "fct_offline_online_ledger": (
        "deployment_id", "challenger_version", "champion_version", "offline_verdict", "outcome",
        "predicted_delta", "predicted_ci_low", "predicted_ci_high", "observed_delta",
        "observed_ci_low", "observed_ci_high", "support", "changed_share", "n_canary_users",
        "is_consistent", "started_at",
    ),
    "dim_model_versions": (
        "model_version", "state", "registered_at", "state_changed_at", "window_start",
        "window_end", "fingerprint", "metrics", "reason",
    ),
    "fct_flywheel_iterations": (
        "iteration_id", "iteration", "started_at", "finished_at", "challenger_version",
        "champion_version", "deployment_id", "offline_metric", "offline_delta",
        "offline_delta_ci_low", "offline_delta_ci_high", "online_delta", "online_delta_ci_low",
        "online_delta_ci_high", "online_metric", "decision", "reason", "fingerprint",
    ),
}  # fmt: skip

HEADLINE = """
select
    count(*) as n_searches,
    count(*) filter (where not is_bot) as n_human_searches,
    count(distinct session_id) as n_sessions,
    count(distinct user_id) as n_users,
    min(searched_at) as log_start,
    max(searched_at) as log_end
from fct_searches
"""

IMPRESSIONS = """
select
    count(*) as n_impressions,
    cast(sum(clicked) as bigint) as n_clicks
from fct_impressions
"""

RECONCILIATION = """
select
    source,
    source_file,
    n_rows,
    n_used,
    n_merged,
    n_quarantined
from fct_input_reconciliation
order by source, source_file
"""

QUARANTINE = """
select
    source,
    reason,
    count(*) as n_rows,
    count(distinct source_file) as n_files,
    min(source_file) as first_file,
    arg_min(row_number, (source_file, row_number)) as first_row
from fct_quarantined_rows
group by source, reason
order by n_rows desc, source, reason
"""

BOTS = """
with search_reasons as (
    select
        unnest(bot_reasons) as reason,
        user_id
    from fct_searches
    where is_bot
),

session_reasons as (
    select unnest(bot_reasons) as reason
    from fct_sessions
    where is_bot
),

by_search as (
    select
        reason,
        count(*) as n_searches,
        count(distinct user_id) as n_users
    from search_reasons
    group by reason
),

by_session as (
    select
        reason,
        count(*) as n_sessions
    from session_reasons
    group by reason
)

select
    coalesce(by_search.reason, by_session.reason) as reason,
    coalesce(n_searches, 0) as n_searches,
    coalesce(n_sessions, 0) as n_sessions,
    coalesce(n_users, 0) as n_users
from by_search
full outer join by_session on by_search.reason = by_session.reason
order by n_searches desc, n_sessions desc, reason
"""

BOT_TOTALS = """
select
    (select count(*) from fct_searches where is_bot) as n_searches,
    (select count(*) from fct_sessions where is_bot) as n_sessions,
    (select count(distinct user_id) from fct_searches where is_bot) as n_users
"""

RAW_CLICK_RATES = """
select
    propensity_context as context,
    rank,
    count(*) as n_impressions,
    cast(sum(clicked) as bigint) as n_clicks,
    cast(sum(clicked) as double) / count(*) as click_rate
from fct_impressions
group by propensity_context, rank
order by context, rank
"""

PROPENSITIES = """
select *
from fct_position_propensities
order by is_active desc, estimator, context, rank
"""

DIAGNOSTICS = """
select *
from fct_propensity_diagnostics
order by is_active desc, estimator, context
"""

# Eight bins an octave are fine enough for a picture and few enough for any log.
WEIGHT_BINS_PER_OCTAVE = 8
WEIGHTS = """
select
    floor(log2(ips_weight) * {bins} + 1e-9) as bin,
    count(*) as n_clicks,
    sum(ips_weight) as sum_weight,
    min(ips_weight) as min_weight,
    max(ips_weight) as max_weight
from {intermediate}.int_click_weights
where clicked = 1 and ips_weight > 0
group by bin
order by bin
"""

# Clicks the log missed: what the corrected click rate adds over the raw one, in clicks.
CORRECTED_LABELS = """
with latest as (
    select *
    from fct_weak_labels
    where window_end = (select max(window_end) from fct_weak_labels)
)

select
    query,
    doc_id,
    n_impressions,
    n_clicks,
    naive_ctr,
    ips_ctr,
    label
from latest
where n_clicks > 0 and ips_ctr > naive_ctr
order by (ips_ctr - naive_ctr) * n_impressions desc, query, doc_id
limit 8
"""

MANIFEST = """
select *
from fct_training_manifest
order by window_end desc, manifest_id desc
limit 1
"""

EVALUATIONS = """
with latest as (
    select evaluation_id
    from fct_offline_evaluations
    order by evaluated_at desc nulls last, evaluation_id desc
    limit 1
)

select fct_offline_evaluations.*
from fct_offline_evaluations
inner join latest on fct_offline_evaluations.evaluation_id = latest.evaluation_id
order by is_gate_metric desc, metric, model_version
"""

VERDICT = """
from fct_offline_verdicts
order by evaluated_at desc nulls last, evaluation_id desc
limit 1
"""

CANARY_DECISIONS = """
select *
from fct_canary_decisions
order by deployment_id, look
"""

CANARY_COMPARISONS = """
select *
from fct_canary_comparisons
order by deployment_id, priority, look
"""

ITERATIONS = """
select *
from fct_flywheel_iterations
order by iteration, started_at, iteration_id
"""

LEDGER = """
select *
from fct_offline_online_ledger
order by started_at, deployment_id
"""

MODEL_VERSIONS = """
select *
from dim_model_versions
order by registered_at desc nulls last, model_version
"""


@dataclass(frozen=True)
class ReportData:
    """Everything the report shows, as rows of plain Python values.

    Attributes:
        headline: counts of searches, sessions, users, and the log's first and last search (UTC).
        impressions: documents shown to humans, and those clicked.
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
        canary_decisions: one row a (deployment, look), in order.
        canary_comparisons: one row a (deployment, metric, look), in order.
        ledger: one row a deployment, in order: predicted offline, observed online.
        iterations: one row a turn of the loop, in order.
        model_versions: one row a model, the newest first.
    """

    headline: Row
    impressions: Row
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


def read_report_data(connection: duckdb.DuckDBPyConnection) -> ReportData:
    """Read everything the report shows.

    Args:
        connection: the warehouse, open for reading.

    Raises:
        FlywheelError: a table or a column the project builds is not there.
    """
    intermediate = _check_tables(connection)

    def rows(sql: str) -> list[Row]:
        cursor = connection.execute(sql)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]

    manifest = rows(MANIFEST)
    verdict = rows(VERDICT)
    return ReportData(
        headline=rows(HEADLINE)[0],
        impressions=rows(IMPRESSIONS)[0],
        reconciliation=rows(RECONCILIATION),
        quarantine=rows(QUARANTINE),
        bots=rows(BOTS),
        bot_totals=rows(BOT_TOTALS)[0],
        raw_click_rates=rows(RAW_CLICK_RATES),
        propensities=rows(PROPENSITIES),
        diagnostics=rows(DIAGNOSTICS),
        weights=rows(WEIGHTS.format(bins=WEIGHT_BINS_PER_OCTAVE, intermediate=intermediate)),
        corrected_labels=rows(CORRECTED_LABELS),
        manifest=manifest[0] if manifest else None,
        evaluations=rows(EVALUATIONS),
        verdict=verdict[0] if verdict else None,
        canary_decisions=rows(CANARY_DECISIONS),
        canary_comparisons=rows(CANARY_COMPARISONS),
        ledger=rows(LEDGER),
        iterations=rows(ITERATIONS),
        model_versions=rows(MODEL_VERSIONS),
    )


def _check_tables(connection: duckdb.DuckDBPyConnection) -> str:
    """Name the schema of the intermediate models, once everything needed was found."""
    (schema,) = connection.execute("select current_schema()").fetchone()
    intermediate = f"{schema}_intermediate"
    present: dict[str, set[str]] = {}
    for table, column in connection.execute(
        "select table_name, column_name from information_schema.columns "
        "where table_schema = case when table_name like 'int_%' then ? else ? end",
        [intermediate, schema],
    ).fetchall():
        present.setdefault(table, set()).add(column)
    missing = [table for table in NEEDED if table not in present]
    if missing:
        raise FlywheelError(
            f"The warehouse has no table {_listed(missing)}, which the report reads; "
            "run `flywheel build` until it succeeds, then ask for the report again."
        )
    for table, columns in NEEDED.items():
        absent = [column for column in columns if column not in present[table]]
        if absent:
            raise FlywheelError(
                f"Table {table} of the warehouse has no column {_listed(absent)}, which the report "
                "reads; it was built by another version of the project: run `flywheel build` again."
            )
    return intermediate


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
