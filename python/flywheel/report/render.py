"""The report as one HTML file that needs nothing else."""

import math
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import matplotlib
from markupsafe import Markup

from flywheel import __version__
from flywheel.errors import FlywheelError
from flywheel.report import charts, words
from flywheel.report.queries import WEIGHT_BINS_PER_OCTAVE, ReportData, Row, read_report_data
from flywheel.settings import Settings
from flywheel.warehouse import connect

MAX_FILES = 12
MAX_RANKS_SHOWN = 20
MAX_RANKS_LISTED = 100
MAX_DEPLOYMENTS = 6

CANARY_METRICS = (("ctr", "CTR"), ("success", "Session success"))


@dataclass(frozen=True)
class Truth:
    """What a simulation knows and a log does not.

    Attributes:
        propensities: examination probability by rank, rank 1 first; empty where unknown.
        turns: `turn, loop, true_ndcg` and, where known, `ci_low, ci_high`.
    """

    propensities: list[float]
    turns: list[Row]


def write_report(
    settings: Settings, *, truth: dict[str, Any] | None = None, output: Path | None = None
) -> Path:
    """Write the report of the warehouse as one HTML file.

    Args:
        settings: names the warehouse and the default place, `FLYWHEEL_HOME/reports/report.html`.
        truth: what a simulation knows: `propensities` (a list by rank, rank 1 first) and `turns`
            (a list of `{"turn", "loop", "true_ndcg"}`, optionally `"ci_low"`, `"ci_high"`; loops are
            `flywheel`, `raw clicks`, `production`). Both optional.
        output: another place.

    Returns:
        The path written. The file appears whole or not at all.

    Raises:
        FlywheelError: the warehouse is missing, locked or lacks a table; the truth is malformed; the
            file cannot be written.
    """
    known = _read_truth(truth)
    path = Path(output) if output is not None else settings.reports / "report.html"
    with connect(settings) as connection:
        data = read_report_data(connection)
    page = _render(data, known, settings)
    _write_atomically(path, lambda handle: handle.write(page.encode("utf-8")))
    return path


def write_curve_picture(
    settings: Settings, output: Path, *, truth: dict[str, Any] | None = None
) -> Path:
    """Write the README's picture: the position-bias curve, and true nDCG@10 by turn if it is known.

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
    kind = charts.as_suffix(output)
    if kind not in ("png", "svg"):
        raise FlywheelError(f"The picture {output} must end in .png or .svg; name it so.")
    known = _read_truth(truth)
    with connect(settings) as connection:
        data = read_report_data(connection)
    with matplotlib.rc_context(charts.style(charts.WIDE)):
        figure = charts.curve_picture(
            data.propensities, data.raw_click_rates, known.propensities, known.turns
        )
        if figure is None:
            raise FlywheelError(
                "There is no position-bias curve to draw: fct_position_propensities has no active "
                "row with a propensity; run `flywheel build` on a log with clicks first."
            )
        _write_atomically(output, lambda handle: charts.write_picture(figure, handle, kind))
    return output


def _read_truth(truth: dict[str, Any] | None) -> Truth:
    truth = truth or {}
    propensities = list(truth.get("propensities") or [])
    if not all(_is_number(value) and value > 0 for value in propensities):
        raise FlywheelError(
            "The truth's `propensities` must be a list of numbers above 0, rank 1 first; mend it or "
            "leave it out."
        )
    turns = [dict(turn) for turn in truth.get("turns") or []]
    for turn in turns:
        if not (
            _is_number(turn.get("turn"))
            and isinstance(turn.get("loop"), str)
            and _is_number(turn.get("true_ndcg"))
        ):
            raise FlywheelError(
                "Each of the truth's `turns` needs a number `turn`, a name `loop` and a number "
                "`true_ndcg`; mend them or leave them out."
            )
    return Truth(propensities=[float(value) for value in propensities], turns=turns)


def _render(data: ReportData, truth: Truth, settings: Settings) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("flywheel.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        {
            "text": words.text,
            "whole": words.whole,
            "number": words.number,
            "signed": words.signed,
            "share": words.share,
            "points": words.points,
            "p_value": words.p_value,
            "e_value": words.e_value,
            "moment": words.moment,
            "day": words.day,
            "label": words.plain_label,
            "metric_name": words.metric_name,
            "numbers_of": words.numbers_of,
        }
    )
    environment.globals.update(
        interval=words.interval, points_interval=words.points_interval, period=words.period
    )
    return environment.get_template("template.html.j2").render(
        data=data,
        truth=truth,
        version=__version__,
        database=settings.database.name,
        written_at=datetime.now(UTC),
        cards=_cards(data),
        reconciliation=_reconciliation(data),
        bots=_bots(data),
        curve=_curve(data, truth),
        weights=_weights(data),
        offline=_offline(data),
        deployments=_deployments(data),
        turns=_turns(data, truth),
    )


# ------------------------------------------------------------------ what each section shows


def _cards(data: ReportData) -> dict[str, Any]:
    searches = data.headline["n_searches"]
    humans = data.headline["n_human_searches"]
    shown = data.impressions["n_impressions"]
    clicks = data.impressions["n_clicks"] or 0
    active = sorted({row["estimator"] for row in data.propensities if row["is_active"]})
    diagnosed = next((row for row in data.diagnostics if row["is_active"]), None)
    champion = next((row for row in data.model_versions if row["state"] == "champion"), None)
    decided = _last_decision(data)
    return {
        "humans": humans,
        "human_share": _ratio(humans, searches),
        "clicks": clicks,
        "click_rate": _ratio(clicks, shown),
        "estimators": active,
        "diagnosed": diagnosed,
        "champion": champion,
        "decided": decided,
    }


def _last_decision(data: ReportData) -> Row | None:
    """The last turn's decision; before the first turn, the last canary look's."""
    for row in reversed(data.iterations):
        if row["decision"]:
            return {"decision": row["decision"], "reason": row["reason"], "at": row["finished_at"]}
    looks = sorted(data.canary_decisions, key=lambda row: (row["look_date"], row["deployment_id"]))
    if looks:
        last = looks[-1]
        return {"decision": last["decision"], "reason": last["reason"], "at": last["look_date"]}
    return None


def _reconciliation(data: ReportData) -> dict[str, Any]:
    names = ("n_rows", "n_used", "n_merged", "n_quarantined")
    total = {name: sum(row[name] or 0 for row in data.reconciliation) for name in names}
    by_source: dict[str, Row] = {}
    for row in data.reconciliation:
        source = by_source.setdefault(
            row["source"], {"source": row["source"], "n_files": 0} | dict.fromkeys(names, 0)
        )
        source["n_files"] += 1
        for name in names:
            source[name] += row[name] or 0
    wrong = [
        row
        for row in data.reconciliation
        if (row["n_rows"] or 0) != sum(row[name] or 0 for name in names[1:])
    ]
    return {
        "files": data.reconciliation[:MAX_FILES],
        "n_files": len(data.reconciliation),
        "sources": list(by_source.values()),
        "total": total,
        "wrong": wrong,
    }


def _bots(data: ReportData) -> list[Row]:
    most = max((row["n_searches"] for row in data.bots), default=0)
    total = data.headline["n_searches"]
    return [
        row
        | {
            "bar": round(row["n_searches"] / most * 100) if most else 0,
            "share": _ratio(row["n_searches"], total),
        }
        for row in data.bots
    ]


def _curve(data: ReportData, truth: Truth) -> dict[str, Any]:
    def draw(*, log: bool) -> Callable[[charts.Layout], Any]:
        return lambda layout: charts.propensity_curve(
            data.propensities, data.raw_click_rates, truth.propensities, layout, log=log
        )

    about = (
        "Position-bias curve: examination of each rank relative to rank 1, "
        "the estimate in use with its interval, other estimates and the raw click rate."
    )
    active = [row for row in data.propensities if row["is_active"]]
    contexts = charts.propensity_contexts(data.propensities)
    raw = {(row["context"], row["rank"]): row["click_rate"] for row in data.raw_click_rates}
    for row in active:
        first = raw.get((row["context"], 1))
        here = raw.get((row["context"], row["rank"]))
        row["raw_relative"] = _ratio(here, first)
        row["truth"] = (
            truth.propensities[row["rank"] - 1] / truth.propensities[0]
            if 1 <= row["rank"] <= len(truth.propensities)
            else None
        )
        # Clipping is the labels' business; the column shows what one click at this rank stands for.
        row["weight"] = row.get("ips_weight") or _ratio(1, row["propensity"])
    tables = []
    for context in contexts:
        rows = sorted((row for row in active if row["context"] == context), key=_by_rank)
        tables.append(
            {
                "context": context,
                "shown": rows[:MAX_RANKS_SHOWN],
                "more": rows[MAX_RANKS_SHOWN:MAX_RANKS_LISTED],
                "n_left_out": max(0, len(rows) - MAX_RANKS_LISTED),
                "unidentified": [row["rank"] for row in rows if not row["is_identified"]],
            }
        )
    return {
        "linear": _picture("curve", about, draw(log=False)),
        "log": _picture("curve-log", about + " Logarithmic axes.", draw(log=True)),
        "contexts": contexts,
        "tables": tables,
        "n_contexts_left_out": max(0, len(contexts) - charts.MAX_CONTEXTS),
        "max_ranks": charts.MAX_RANKS,
        "max_rank": max((row["rank"] for row in active), default=0),
        "has_truth": bool(truth.propensities),
        "reasons": _distinct(row["choice_reason"] for row in data.diagnostics if row["is_active"]),
        "disconnected": [
            row
            for row in data.diagnostics
            if row["is_active"] and (row["n_connected_components"] or 0) > 1
        ],
    }


def _weights(data: ReportData) -> dict[str, Any]:
    pairs = sum(row["n_pairs"] for row in data.weights)
    total = sum(row["sum_weight"] for row in data.weights)
    labels = [
        row | {"n_missed": (row["ips_ctr"] - row["naive_ctr"]) * row["n_impressions"]}
        for row in data.corrected_labels
    ]
    return {
        "picture": _picture(
            "weights",
            "Histogram of the weights of the training pairs, and of the weight they carry.",
            lambda layout: charts.weight_histogram(data.weights, WEIGHT_BINS_PER_OCTAVE, layout),
        ),
        "n_pairs": pairs,
        "mean": _ratio(total, pairs),
        "smallest": min((row["min_weight"] for row in data.weights), default=None),
        "largest": max((row["max_weight"] for row in data.weights), default=None),
        "diagnostics": [
            row | {"ess_share": _ratio(row["effective_sample_size"], row["n_clicks"])}
            for row in data.diagnostics
        ],
        "labels": labels,
    }


def _offline(data: ReportData) -> dict[str, Any]:
    """The newest evaluation: the challenger's rows, with the champion's value beside each."""
    rows = [row for row in data.evaluations if _is_number(row["delta"])]
    challengers = [row for row in rows if row["model_version"] != row["champion_version"]]
    rows = challengers or rows
    champion_values = {
        row["metric"]: row
        for row in data.evaluations
        if row["model_version"] == row["champion_version"]
    }
    shown = []
    for row in rows:
        champion = champion_values.get(row["metric"])
        value = champion["value"] if champion else None
        if value is None and _is_number(row["value"]):
            value = row["value"] - row["delta"]
        shown.append(row | {"champion_value": value, "label": words.metric_name(row["metric"])})
    # One axis serves metrics of one scale; a mean rank beside an nDCG would flatten the nDCG.
    drawn = [row for row in shown if not _is_number(row["value"]) or abs(row["value"]) <= 1.5]
    return {
        "rows": shown,
        "first": shown[0] if shown else (data.evaluations[0] if data.evaluations else None),
        "gate": next((row for row in shown if row["is_gate_metric"]), None),
        "not_drawn": [row["label"] for row in shown if row not in drawn],
        "undecided": bool(data.evaluations) and not rows,
        "picture": _picture(
            "forest",
            "Offline difference between challenger and champion for each metric, with intervals.",
            lambda layout: charts.forest(drawn, layout),
        ),
    }


def _deployments(data: ReportData) -> list[dict[str, Any]]:
    """Each deployment's looks, the newest deployment first."""
    by_deployment: dict[str, list[Row]] = {}
    for row in data.canary_decisions:
        by_deployment.setdefault(row["deployment_id"], []).append(row)
    newest = sorted(
        by_deployment, key=lambda name: (by_deployment[name][-1]["look_date"], name), reverse=True
    )
    found = []
    for index, name in enumerate(newest):
        looks = by_deployment[name]
        panels = _canary_panels(looks)
        picture = None
        if index < MAX_DEPLOYMENTS:
            picture = _picture(
                f"canary-{index}",
                "Difference between canary and champion at each look, with a confidence sequence.",
                lambda layout, panels=panels: charts.canary_sequence(panels, layout),
            )
        found.append(
            {
                "deployment_id": name,
                "looks": looks,
                "last": looks[-1],
                "picture": picture,
                "details": _canary_details(looks[-1]),
                "values": [row for row in data.canary_values if row["deployment_id"] == name],
            }
        )
    return found


def _canary_panels(looks: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """CTR and session success by look; the deciding metric where the details are not there."""
    panels = []
    for prefix, title in CANARY_METRICS:
        names = [f"{prefix}_delta", f"{prefix}_ci_low", f"{prefix}_ci_high"]
        if all(name in looks[0] for name in names):
            rows = [
                row | dict(zip(("delta", "ci_low", "ci_high"), map(row.get, names), strict=True))
                for row in looks
            ]
            panels.append((title, rows))
    if panels:
        return panels
    metrics = _distinct(row["metric"] for row in looks)
    return [
        (words.metric_name(metric), [row for row in looks if row["metric"] == metric])
        for metric in metrics
    ]


def _canary_details(last: Row) -> list[Row]:
    """The last look, one row a metric, where the table has the details."""
    details = []
    for prefix, title in CANARY_METRICS:
        if f"{prefix}_delta" in last:
            details.append(
                {"title": title}
                | {
                    name: last.get(f"{prefix}_{name}")
                    for name in ("champion", "canary", "delta", "ci_low", "ci_high", "e_value")
                }
            )
    return details


def _turns(data: ReportData, truth: Truth) -> dict[str, Any]:
    loops = _distinct(row["loop"] for row in truth.turns)
    numbers = sorted({row["turn"] for row in truth.turns})
    found = {(row["turn"], row["loop"]): row["true_ndcg"] for row in truth.turns}
    return {
        "deltas": _picture(
            "deltas",
            "Offline and online difference between challenger and champion at each turn.",
            lambda layout: charts.iteration_deltas(data.iterations, layout),
        ),
        "picture": _picture(
            "truth",
            "True nDCG at 10 of each loop by turn.",
            lambda layout: charts.true_quality(truth.turns, layout),
        ),
        "loops": loops,
        "table": [
            {"turn": turn, "values": [found.get((turn, loop)) for loop in loops]}
            for turn in numbers
        ],
    }


# ------------------------------------------------------------------ small things


def _picture(name: str, description: str, draw: Callable[[charts.Layout], Any]) -> Markup | None:
    """A picture as markup: `responsive_svg` has escaped every text in it."""
    svg = charts.responsive_svg(name, description, draw)
    return Markup(svg) if svg else None


def _by_rank(row: Row) -> int:
    return row["rank"]


def _distinct(values: Any) -> list[Any]:
    return [value for value in dict.fromkeys(values) if value is not None]


def _ratio(numerator: Any, denominator: Any) -> float | None:
    if not _is_number(numerator) or not _is_number(denominator) or denominator == 0:
        return None
    return float(numerator) / float(denominator)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _write_atomically(path: Path, write: Callable[[Any], Any]) -> None:
    """Write beside the target, then rename: readers see the old file or the new one."""
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes private files; a report is for colleagues too.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    except OSError as error:
        raise FlywheelError(
            f"The file {path} cannot be written ({error.strerror}); choose another place or free it."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
