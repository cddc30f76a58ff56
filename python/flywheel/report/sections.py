"""What each section of the report shows, prepared for the template.

Arithmetic ends at ratios of two numbers of the warehouse; whatever is decided was decided there.
"""

import json
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flywheel.analyses import Row
from flywheel.report import charts, words
from flywheel.report.queries import ReportData
from flywheel.report.svg import responsive_svg

MAX_FILES = 12
MAX_RANKS_SHOWN = 20
MAX_RANKS_LISTED = 100
MAX_DEPLOYMENTS = 6
MIN_CORRELATED = 3

# Beyond this a metric is no share, and one axis cannot serve it and an nDCG.
LARGEST_DRAWN_VALUE = 1.5


@dataclass(frozen=True)
class Truth:
    """What a simulation knows and a log does not.

    Attributes:
        propensities: examination probability by rank, rank 1 first; empty where unknown.
        turns: `turn, loop, true_ndcg` and, where known, `ci_low, ci_high`.
    """

    propensities: list[float]
    turns: list[Row]


def cards(data: ReportData) -> dict[str, Any]:
    """The key figures at the top."""
    searches = data.headline["n_searches"]
    humans = data.headline["n_human_searches"]
    clicks = data.headline["n_clicks"] or 0
    champion = next((row for row in data.model_versions if row["is_current_champion"]), None)
    return {
        "humans": humans,
        "human_share": ratio(humans, searches),
        "clicks": clicks,
        "click_rate": ratio(clicks, data.headline["n_impressions"]),
        "estimators": sorted(
            {row["estimator_words"] for row in data.propensities if row["is_active"]}
        ),
        "diagnosed": next((row for row in data.diagnostics if row["is_active"]), None),
        "champion": champion,
        "decided": _last_decision(data),
    }


def _last_decision(data: ReportData) -> Row | None:
    """The last turn's decision; before the first turn, that of the last canary."""
    for row in reversed(data.iterations):
        if row["decision"]:
            return {"decision": row["decision"], "at": row["finished_at"]}
    deciding = [row for row in data.canary_decisions if row["is_deciding"]]
    last = max(deciding, key=lambda row: (row["look_date"], row["deployment_id"]), default=None)
    return {"decision": last["decision"], "at": last["look_date"]} if last else None


def reconciliation(data: ReportData) -> dict[str, Any]:
    """Rows read and where they went: by file, or by source where there are many files."""
    names = ("n_rows", "n_used", "n_merged", "n_quarantined")
    rows = [row | {name: row[name] or 0 for name in names} for row in data.reconciliation]
    by_source: dict[str, Row] = {}
    for row in rows:
        source = by_source.setdefault(
            row["source"], {"source": row["source"], "n_files": 0} | dict.fromkeys(names, 0)
        )
        source["n_files"] += 1
        for name in names:
            source[name] += row[name]
    return {
        "files": rows[:MAX_FILES],
        "n_files": len(rows),
        "sources": list(by_source.values()),
        "total": {name: sum(row[name] for row in rows) for name in names},
        "wrong": [row for row in rows if row["n_rows"] != sum(row[name] for name in names[1:])],
    }


def bots(data: ReportData) -> list[Row]:
    """Reasons with their share of all searches, and the length of their bar in percent."""
    most = max((row["n_searches"] for row in data.bots), default=0)
    return [
        row
        | {
            "bar": round((ratio(row["n_searches"], most) or 0) * 100),
            "share": row["share_of_searches"],
        }
        for row in data.bots
    ]


def curve(data: ReportData, truth: Truth) -> dict[str, Any]:
    """The position-bias curve, as two pictures and a table a context."""

    def draw(*, log: bool) -> Callable[[charts.Layout], Any]:
        return lambda layout: charts.propensity_curve(
            data.propensities, data.raw_click_rates, truth.propensities, layout, log=log
        )

    about = (
        "Position-bias curve: examination of each rank relative to rank 1, "
        "the estimate in use with its interval, other estimates and the raw click rate."
    )
    contexts = charts.propensity_contexts(data.propensities)
    active = [row for row in _with_references(data, truth) if row["is_active"]]
    # A curve with no rank of its own can still follow a decay that was fitted to the log.
    fitted = {
        (row["context"], row["estimator"])
        for row in data.diagnostics
        if row["alpha_std_error"] is not None
    }
    tables = []
    for context in contexts:
        rows = sorted(
            (row for row in active if row["context"] == context), key=lambda row: row["rank"]
        )
        unidentified = [row["rank"] for row in rows if not row["is_identified"]]
        tables.append(
            {
                "context": context,
                "estimator": rows[0]["estimator_words"],
                "shown": rows[:MAX_RANKS_SHOWN],
                "more": rows[MAX_RANKS_SHOWN:MAX_RANKS_LISTED],
                "n_left_out": max(0, len(rows) - MAX_RANKS_LISTED),
                "unidentified": rank_list(unidentified),
                "is_assumed": len(unidentified) == len(rows)
                and (context, rows[0]["estimator"]) not in fitted,
            }
        )
    return {
        "linear": responsive_svg("curve", about, draw(log=False)),
        "log": responsive_svg("curve-log", about + " Logarithmic axes.", draw(log=True)),
        "contexts": contexts,
        "tables": tables,
        "n_contexts_left_out": max(0, len(contexts) - charts.MAX_CONTEXTS),
        "max_ranks": charts.MAX_RANKS,
        "max_rank": max((row["rank"] for row in active), default=0),
        "has_truth": bool(truth.propensities),
        "reasons": distinct(row["choice_reason"] for row in data.diagnostics if row["is_active"]),
        "disconnected": [
            row
            for row in data.diagnostics
            if row["is_active"] and (row["n_connected_components"] or 0) > 1
        ],
    }


def _with_references(data: ReportData, truth: Truth) -> list[Row]:
    """Propensities beside the raw click rate and the truth, both relative to rank 1."""
    raw = {(row["context"], row["rank"]): row["click_rate"] for row in data.raw_click_rates}
    known = dict(enumerate(truth.propensities, start=1))
    return [
        row
        | {
            "raw_relative": ratio(
                raw.get((row["context"], row["rank"])), raw.get((row["context"], 1))
            ),
            "truth": ratio(known.get(row["rank"]), known.get(1)),
            "weight": ratio(1, row["propensity"]),
        }
        for row in data.propensities
    ]


def weights(data: ReportData) -> dict[str, Any]:
    """How the clicks of the training window are weighted."""
    clicks = sum(row["n_clicks"] for row in data.weights)
    clip = _recorded_var(data.manifest, "ips_clip")
    return {
        "picture": responsive_svg(
            "weights",
            "Histogram of the weights of clicks, and of the share of all weight they carry.",
            lambda layout: charts.weight_histogram(data.weights, clip, layout),
        ),
        "n_clicks": clicks,
        "clip": clip,
        "mean": ratio(sum(row["sum_weight"] for row in data.weights), clicks),
        "smallest": min((row["min_weight"] for row in data.weights), default=None),
        "largest": max((row["max_weight"] for row in data.weights), default=None),
        "diagnostics": [
            row | {"ess_share": ratio(row["effective_sample_size"], row["n_clicks"])}
            for row in data.diagnostics
        ],
        "labels": data.corrected_labels,
    }


def _recorded_var(manifest: Row | None, name: str) -> float | None:
    """A number among the vars the training set was built with."""
    try:
        value = json.loads(manifest["vars"])[name] if manifest else None
    except (TypeError, ValueError, KeyError):
        return None
    return float(value) if is_number(value) else None


def offline(data: ReportData) -> dict[str, Any]:
    """The newest evaluation: the challenger's rows, with the champion's value beside each."""
    champion = {row["metric"]: row["value"] for row in data.evaluations if row["is_champion"]}
    rows = [
        row
        | {
            "label": words.metric_name(row["metric"]),
            "champion_value": champion.get(row["metric"], difference(row["value"], row["delta"])),
        }
        for row in data.evaluations
        if not row["is_champion"]
    ]
    compared = [row for row in rows if is_number(row["delta"])]
    drawn = [row for row in compared if abs(row["value"]) <= LARGEST_DRAWN_VALUE]
    return {
        "rows": compared,
        "first": rows[0] if rows else None,
        "verdict": data.verdict,
        "gate": next((row for row in compared if row["is_gate_metric"]), None),
        "not_drawn": [row["label"] for row in compared if row not in drawn],
        "picture": responsive_svg(
            "forest",
            "Offline difference between challenger and champion for each metric, with intervals.",
            lambda layout: charts.forest(drawn, layout),
        ),
    }


def deployments(data: ReportData) -> list[dict[str, Any]]:
    """Each deployment's looks, the newest deployment first."""
    by_deployment: dict[str, list[Row]] = {}
    for row in data.canary_decisions:
        by_deployment.setdefault(row["deployment_id"], []).append(row)
    newest_first = sorted(
        by_deployment, key=lambda name: (by_deployment[name][-1]["look_date"], name), reverse=True
    )
    compared: dict[str, dict[str, list[Row]]] = {}
    for row in data.canary_comparisons:
        of_metrics = compared.setdefault(row["deployment_id"], {})
        of_metrics.setdefault(row["metric"], []).append(row)
    return [
        _deployment(name, by_deployment[name], compared.get(name, {}), index)
        for index, name in enumerate(newest_first)
    ]


def _deployment(
    name: str, looks: list[Row], compared: Mapping[str, list[Row]], index: int
) -> dict[str, Any]:
    """A deployment's decision and, metric by metric, what it rests on."""
    said = next(row for row in looks if row["is_deciding"])
    metrics = [row for rows in compared.values() for row in rows if row["look"] == said["look"]]
    by_look = {row["look"]: row for row in looks}
    parts = ("delta", "ci_low", "ci_high")
    panels = [
        charts.Panel(
            words.plain_label(rows[0]["label"]),
            rows[0]["kind"] != "amount",
            [by_look[row["look"]] | {part: row[part] for part in parts} for row in rows],
        )
        for rows in compared.values()
    ]
    kinds = {metric: rows[0]["kind"] for metric, rows in compared.items()}
    picture = None
    if index < MAX_DEPLOYMENTS:
        picture = responsive_svg(
            f"canary-{index}",
            "Difference between canary and champion at each look, with a confidence sequence.",
            lambda layout: charts.canary_sequence(panels, layout),
        )
    share = said.get("canary_share")
    return {
        "deployment_id": name,
        "title": f"{name}, {share:.0%} of the users" if share else name,
        "looks": [row | {"kind": kinds.get(row["metric"])} for row in looks],
        "said": said,
        "final_look": said["look"] if said["is_final"] else None,
        "metrics": metrics,
        "picture": picture,
        "is_drawn": index < MAX_DEPLOYMENTS,
    }


def ledger(data: ReportData) -> dict[str, Any]:
    """What was predicted offline of each deployment beside what users did."""
    met = [
        row
        for row in data.ledger
        if row["is_consistent"] is not None
        and is_number(row["predicted_delta"])
        and is_number(row["observed_delta"])
    ]
    predicted = [row["predicted_delta"] for row in met]
    observed = [row["observed_delta"] for row in met]
    correlation = None
    if len(met) >= MIN_CORRELATED and len(set(predicted)) > 1 and len(set(observed)) > 1:
        correlation = statistics.correlation(predicted, observed)
    return {
        "rows": data.ledger[::-1],
        "n_met": len(met),
        "n_consistent": sum(row["is_consistent"] for row in met),
        "correlation": correlation,
        "picture": responsive_svg(
            "ledger",
            "Difference in clicks of each deployment as predicted offline and as observed online.",
            lambda layout: charts.ledger(met, layout),
        ),
    }


def turns(data: ReportData, truth: Truth) -> dict[str, Any]:
    """The loop's turns, and true quality by turn where a simulation knows it."""
    loops = distinct(row["loop"] for row in truth.turns)
    found = {(row["turn"], row["loop"]): row["true_ndcg"] for row in truth.turns}
    metrics = distinct(row["offline_metric"] for row in data.iterations)
    unit = words.metric_name(metrics[0]) if len(metrics) == 1 else "gate metric"
    kinds = {row["metric"]: row["kind"] for row in data.canary_comparisons}
    rows = [row | {"kind": kinds.get(row["online_metric"])} for row in data.iterations]
    drawn = [row | {"online_delta": None} if row["kind"] == "amount" else row for row in rows]
    return {
        "rows": rows,
        "unit": unit,
        "deltas": responsive_svg(
            "deltas",
            "Offline and online difference between challenger and champion at each turn.",
            lambda layout: charts.iteration_deltas(drawn, unit, layout),
        ),
        "picture": responsive_svg(
            "truth",
            "True nDCG at 10 of each loop by turn.",
            lambda layout: charts.true_quality(truth.turns, layout),
        ),
        "loops": loops,
        "table": [
            {"turn": turn, "true": [found.get((turn, loop)) for loop in loops]}
            for turn in sorted({row["turn"] for row in truth.turns})
        ],
    }


# ------------------------------------------------------------------ small things


def is_number(value: Any) -> bool:
    """Whether a value is a finite number (true and false are not)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def ratio(numerator: Any, denominator: Any) -> float | None:
    """A quotient; None where it has no meaning."""
    if not is_number(numerator) or not is_number(denominator) or denominator == 0:
        return None
    return float(numerator) / float(denominator)


def difference(minuend: Any, subtrahend: Any) -> float | None:
    """A difference; None where it has no meaning."""
    return minuend - subtrahend if is_number(minuend) and is_number(subtrahend) else None


def distinct(values: Iterable[Any]) -> list[Any]:
    """Values that are not null, each once, in order."""
    return [value for value in dict.fromkeys(values) if value is not None]


def rank_list(ranks: Sequence[int]) -> str:
    """Ranks in words, runs shortened: 3, 8 to 10."""
    runs: list[list[int]] = []
    for rank in ranks:
        if runs and rank == runs[-1][1] + 1:
            runs[-1][1] = rank
        else:
            runs.append([rank, rank])
    said = [
        str(low) if low == high else f"{low} {'and' if high == low + 1 else 'to'} {high}"
        for low, high in runs
    ]
    return ", ".join(said)


def read_truth(truth: Mapping[str, Any] | None) -> Truth | None:
    """Check what a simulation says it knows; None where it is malformed."""
    truth = truth or {}
    try:
        propensities = [float(value) for value in truth.get("propensities") or []]
        turns = [dict(turn) for turn in truth.get("turns") or []]
    except (TypeError, ValueError):
        return None
    is_sound = all(math.isfinite(value) and value > 0 for value in propensities) and all(
        is_number(turn.get("turn"))
        and isinstance(turn.get("loop"), str)
        and is_number(turn.get("true_ndcg"))
        for turn in turns
    )
    return Truth(propensities, turns) if is_sound else None
