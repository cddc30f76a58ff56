"""The report's pictures, as matplotlib figures.

Each function takes plain rows and a `Layout` and returns a figure, or None where there is nothing
to draw, so that the same picture exists at desk width, at phone width and as a file.

Colours are Okabe and Ito's, told apart by people with any of the common colour deficiencies; each
series also differs in marker or dash.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, num2date
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from flywheel.analyses import Row
from flywheel.report.words import plain_label

INK = "#1b1f24"
MUTED = "#59636e"
GRID = "#e4e7eb"
FAINT = "#8f99a3"
BLUE = "#0072b2"
ORANGE = "#d55e00"
GREEN = "#00805e"

MAX_RANKS = 50
MAX_CONTEXTS = 6
MOST_PANELS_BESIDE = 3
BAND_FROM_RANKS = 25

LOOPS = {
    "flywheel": {"color": BLUE, "marker": "o", "linestyle": "-", "linewidth": 2.2},
    "raw clicks": {"color": ORANGE, "marker": "s", "linestyle": "--", "linewidth": 1.8},
    "production": {"color": FAINT, "marker": "D", "linestyle": ":", "linewidth": 1.8},
}
OTHER_LOOP = {"color": GREEN, "marker": "^", "linestyle": "-.", "linewidth": 1.8}
WEIGHT_TICKS = [0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000]
DASHES = [(0, (4, 2)), (0, (1, 1.6)), (0, (6, 2, 1, 2)), (0, (2, 2)), (0, (8, 3))]


@dataclass(frozen=True)
class Layout:
    """How much room a picture has.

    Attributes:
        width: inches, at 72 CSS points an inch.
        narrow: true on a phone, where panels stand below each other.
    """

    width: float
    narrow: bool


WIDE = Layout(width=10, narrow=False)
NARROW = Layout(width=3.75, narrow=True)


def style(layout: Layout) -> dict[str, Any]:
    """Matplotlib settings of every picture."""
    size = 9.5 if layout.narrow else 10.0
    return {
        "font.family": "DejaVu Sans",
        "font.size": size,
        "text.parse_math": False,
        "text.usetex": False,
        "text.color": INK,
        "axes.labelcolor": MUTED,
        "axes.edgecolor": FAINT,
        "axes.linewidth": 0.8,
        "axes.titlesize": size + 0.5,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.titlecolor": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "grid.color": GRID,
        "grid.linewidth": 0.8,
        "xtick.color": FAINT,
        "ytick.color": FAINT,
        "xtick.labelcolor": MUTED,
        "ytick.labelcolor": MUTED,
        "xtick.labelsize": size - 0.5,
        "ytick.labelsize": size - 0.5,
        "legend.frameon": False,
        "legend.fontsize": size - 0.5,
        "legend.labelcolor": INK,
        "svg.fonttype": "none",
        "path.simplify": True,
    }


# ------------------------------------------------------------------ the pictures


def propensity_contexts(propensities: Sequence[Row]) -> list[str]:
    """Contexts that have an active curve, those with the most clicks first."""
    clicks: dict[str, int] = {}
    for row in propensities:
        if row["is_active"]:
            clicks[row["context"]] = clicks.get(row["context"], 0) + (row["n_clicks"] or 0)
    return sorted(clicks, key=lambda context: (-clicks[context], context))


def propensity_curve(
    propensities: Sequence[Row],
    raw_click_rates: Sequence[Row],
    truth: Sequence[float] | None,
    layout: Layout,
    *,
    log: bool,
) -> Figure | None:
    """The position-bias curve: one panel a context.

    Args:
        propensities: rows of `fct_position_propensities`.
        raw_click_rates: `context, rank, click_rate`.
        truth: true examination probability by rank, rank 1 first; drawn relative to rank 1.
        layout: the room.
        log: both axes logarithmic, where a power law is a straight line.

    Returns:
        None where no active propensity is a number.
    """
    contexts = propensity_contexts(propensities)[:MAX_CONTEXTS]
    if not any(
        row["is_active"] and row["context"] in contexts and _is_positive(row["propensity"])
        for row in propensities
    ):
        return None
    columns = 1 if layout.narrow or len(contexts) == 1 else 2
    rows = math.ceil(len(contexts) / columns)
    height = (3.4 if layout.narrow else 4.2) if len(contexts) == 1 else 2.9
    figure = _figure(layout, height * rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for unused in axes[len(contexts) :]:
        unused.set_visible(False)
    handles: dict[str, Any] = {}
    for index, (ax, context) in enumerate(zip(axes, contexts, strict=False)):
        here = [row for row in propensities if row["context"] == context]
        raw = [row for row in raw_click_rates if row["context"] == context]
        handles |= _draw_curve(ax, here, raw, truth, log=log)
        if len(contexts) > 1:
            ax.set_title(plain_label(context))
        if index % columns == 0:
            ax.set_ylabel("relative to rank 1")
        if index + columns >= len(contexts):
            ax.set_xlabel("rank (1 = top of the list)")
    _legend(figure, handles, layout)
    return figure


def _draw_curve(
    ax: Axes,
    propensities: Sequence[Row],
    raw: Sequence[Row],
    truth: Sequence[float] | None,
    *,
    log: bool,
) -> dict[str, Any]:
    handles: dict[str, Any] = {}
    active = [
        row
        for row in propensities
        if row["is_active"] and _is_positive(row["propensity"]) and row["rank"] <= MAX_RANKS
    ]
    ranks = [row["rank"] for row in active]
    last = max(ranks, default=1)
    tops = [row["propensity"] for row in active]

    if active:
        with_interval = [
            row for row in active if _is_number(row["ci_low"]) and _is_number(row["ci_high"])
        ]
        if with_interval:
            x = [row["rank"] for row in with_interval]
            low = [max(row["ci_low"], 1e-4) for row in with_interval]
            high = [row["ci_high"] for row in with_interval]
            band = ax.fill_between(x, low, high, color=BLUE, alpha=0.18, linewidth=0, zorder=2)
            if len(active) <= BAND_FROM_RANKS:
                ax.vlines(x, low, high, color=BLUE, linewidth=1.1, zorder=4)
        (line,) = ax.plot(
            ranks,
            [row["propensity"] for row in active],
            color=BLUE,
            linewidth=2.2,
            marker="o",
            markersize=4.5 if len(active) <= BAND_FROM_RANKS else 2.5,
            zorder=5,
        )
        unmeasured = [row for row in active if not row["is_identified"]]
        ax.plot(
            [row["rank"] for row in unmeasured],
            [row["propensity"] for row in unmeasured],
            linestyle="",
            marker="o",
            markersize=line.get_markersize(),
            color=BLUE,
            markerfacecolor="white",
            zorder=5.5,
        )
        name = f"{plain_label(active[0]['estimator_words'])} (in use)"
        handles[name] = (band, line) if with_interval else line

    others = sorted({row["estimator"] for row in propensities if not row["is_active"]})
    for estimator, dash in zip(others, DASHES * len(others), strict=False):
        points = [
            row
            for row in propensities
            if row["estimator"] == estimator
            and not row["is_active"]
            # What an estimate did not identify is somebody else's curve.
            and (row["is_identified"] or row["is_assumption"])
            and _is_positive(row["propensity"])
            and row["rank"] <= last
        ]
        if points:
            (line,) = ax.plot(
                [row["rank"] for row in points],
                [row["propensity"] for row in points],
                color=FAINT,
                linewidth=1.3,
                linestyle=dash,
                zorder=3,
            )
            handles[plain_label(points[0]["estimator_words"])] = line
            tops += [row["propensity"] for row in points]

    first = next((row["click_rate"] for row in raw if row["rank"] == 1), None)
    if _is_positive(first):
        points = [row for row in raw if row["rank"] <= last and (row["click_rate"] > 0 or not log)]
        relative = [row["click_rate"] / first for row in points]
        (line,) = ax.plot(
            [row["rank"] for row in points],
            relative,
            color=ORANGE,
            linewidth=1.4,
            linestyle=(0, (5, 2)),
            marker="s",
            markersize=3.5,
            zorder=4,
        )
        handles["raw click rate"] = line
        tops += relative

    if truth:
        relative = [value / truth[0] for value in truth[:last]]
        (line,) = ax.plot(
            range(1, len(relative) + 1),
            relative,
            color=INK,
            linewidth=1.4,
            linestyle=(0, (1, 1.5)),
            marker="x",
            markersize=5,
            zorder=6,
        )
        handles["truth (simulated)"] = line
        tops += relative

    top = max([1.0, *tops])
    if log:
        ax.set_xscale("log")
        ax.set_yscale("log")
        floor = min([0.5, *(value for value in tops if value > 0)])
        ax.set_ylim(max(floor * 0.7, 1e-3), top * 1.25)
        ax.xaxis.set_major_locator(FixedLocator(_log_ticks(last)))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_locator(
            FixedLocator([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10])
        )
        ax.yaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.set_xlim(0.93, last * 1.08)
    else:
        ax.set_ylim(0, top * 1.08)
        ax.set_xlim(0.7, last + 0.3)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=11))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return handles


def weight_histogram(weights: Sequence[Row], clip: float | None, layout: Layout) -> Figure | None:
    """Clicks by weight, and the share of all weight they carry.

    Args:
        weights: `bin_start, bin_end, n_clicks, sum_weight`.
        clip: the largest weight a click may carry, marked where it lies in the picture.
        layout: the room.
    """
    if not weights:
        return None
    figure = _figure(layout, 2.9)
    ax = figure.subplots()
    clicks = sum(row["n_clicks"] for row in weights)
    total = sum(row["sum_weight"] for row in weights)
    left = [row["bin_start"] for row in weights]
    right = [row["bin_end"] for row in weights]
    share = [row["n_clicks"] / clicks * 100 for row in weights]
    carried = [row["sum_weight"] / total * 100 for row in weights]
    width = [high - low for low, high in zip(left, right, strict=True)]
    bars = ax.bar(left, share, width=width, align="edge", color=BLUE, alpha=0.55, linewidth=0)
    handles: dict[str, Any] = {"share of the clicks": bars}
    ax.hlines(carried, left, right, color=ORANGE, linewidth=2.2)
    handles["share of all weight"] = Line2D([], [], color=ORANGE, linewidth=2.2)
    if clip is not None and clip <= right[-1] * 1.5:
        line = ax.axvline(clip, color=INK, linewidth=1.2, linestyle=(0, (3, 2)))
        handles[f"clipped at {clip:g}"] = line
        right.append(clip)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(WEIGHT_TICKS))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_xlim(min(left[0], 1) * 0.93, max(right[-1], 2.2) * 1.07)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}%"))
    ax.grid(axis="x", visible=False)
    ax.set_xlabel("weight of a click (at rank 1: 1)")
    _legend(figure, handles, layout)
    return figure


def forest(rows: Sequence[Row], layout: Layout) -> Figure | None:
    """Challenger minus champion, one line a metric, with its interval.

    Args:
        rows: `label, delta, delta_ci_low, delta_ci_high, is_gate_metric`.
        layout: the room.
    """
    rows = [row for row in rows if _is_number(row["delta"])]
    if not rows:
        return None
    figure = _figure(layout, 0.75 + 0.34 * len(rows))
    ax = figure.subplots()
    for y, row in enumerate(rows):
        colour = BLUE if row["is_gate_metric"] else FAINT
        if _is_number(row["delta_ci_low"]) and _is_number(row["delta_ci_high"]):
            ax.hlines(y, row["delta_ci_low"], row["delta_ci_high"], color=colour, linewidth=2.2)
            ends = [row["delta_ci_low"], row["delta_ci_high"]]
            ax.plot(ends, [y, y], linestyle="", marker="|", color=colour, markersize=8)
        ax.plot(
            row["delta"],
            y,
            marker="D" if row["is_gate_metric"] else "o",
            color=colour,
            markersize=7 if row["is_gate_metric"] else 5.5,
        )
    ax.axvline(0, color=INK, linewidth=1)
    ax.set_yticks(range(len(rows)), [row["label"] for row in rows])
    for text, row in zip(ax.get_yticklabels(), rows, strict=True):
        if row["is_gate_metric"]:
            text.set_fontweight("bold")
            text.set_color(INK)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="y", visible=False)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=4 if layout.narrow else 8))
    ax.xaxis.set_major_formatter(FuncFormatter(_signed))
    ax.set_xlabel("challenger minus champion")
    ax.margins(x=0.06)
    return figure


@dataclass(frozen=True)
class Panel:
    """A metric at every look, with its date, delta, ci_low, ci_high, decision and is_final."""

    title: str
    is_share: bool
    rows: Sequence[Row]


def canary_sequence(panels: Sequence[Panel], layout: Layout) -> Figure | None:
    """Difference canary minus champion at every look, one panel a metric."""
    panels = [
        replace(panel, rows=rows)
        for panel in panels
        if (rows := [row for row in panel.rows if _is_number(row["delta"])])
    ]
    if not panels:
        return None
    columns = 1 if layout.narrow else min(len(panels), MOST_PANELS_BESIDE)
    rows_of_panels = math.ceil(len(panels) / columns)
    figure = _figure(layout, (2.7 if layout.narrow else 3.0) * rows_of_panels)
    axes = figure.subplots(rows_of_panels, columns, squeeze=False).ravel()
    for spare in axes[len(panels) :]:
        spare.set_visible(False)
    handles: dict[str, Any] = {}
    for index, (ax, panel) in enumerate(zip(axes, panels, strict=False)):
        rows, scale = panel.rows, 100 if panel.is_share else 1
        x = [row["look_date"] for row in rows]
        with_interval = [
            row for row in rows if _is_number(row["ci_low"]) and _is_number(row["ci_high"])
        ]
        at = [row["look_date"] for row in with_interval]
        low = [row["ci_low"] * scale for row in with_interval]
        high = [row["ci_high"] * scale for row in with_interval]
        band = ax.fill_between(at, low, high, color=BLUE, alpha=0.18, linewidth=0)
        ax.vlines(at, low, high, color=BLUE, linewidth=1.1)
        (line,) = ax.plot(
            x,
            [row["delta"] * scale for row in rows],
            color=BLUE,
            linewidth=2,
            marker="o",
            markersize=4.5,
        )
        ax.axhline(0, color=INK, linewidth=1)
        decided = next((row for row in rows if row["is_final"]), None)
        if decided is not None:
            (end,) = ax.plot(
                decided["look_date"],
                decided["delta"] * scale,
                marker="D",
                markersize=9,
                markerfacecolor="none",
                markeredgecolor=ORANGE if decided["decision"] != "promote" else GREEN,
                markeredgewidth=2,
                linestyle="",
                zorder=5,
            )
            handles[f"decided: {plain_label(decided['decision'])}"] = end
        # The first looks are wide open; let the picture show the looks that decide.
        _limit_to_later_looks(ax, low, high)
        ax.xaxis.set_major_locator(
            AutoDateLocator(
                minticks=2, maxticks=4 if layout.narrow else 6, interval_multiples=False
            )
        )
        if len(x) <= 3:
            ax.set_xticks(x)
        ax.xaxis.set_major_formatter(FuncFormatter(_day))
        ax.yaxis.set_major_formatter(FuncFormatter(_signed))
        ax.set_title(f"{panel.title}: canary minus champion")
        if index % columns == 0 or not panel.is_share:
            ax.set_ylabel("percentage points" if panel.is_share else "difference")
        handles = {
            "difference and confidence sequence": (band, line),
            **handles,
        }
    _legend(figure, handles, layout)
    return figure


def _limit_to_later_looks(ax: Axes, low: Sequence[float], high: Sequence[float]) -> None:
    if len(low) < 4:
        ax.margins(y=0.12)
        return
    skipped = len(low) // 4
    bottom = min([0.0, *low[skipped:]])
    top = max([0.0, *high[skipped:]])
    room = (top - bottom) * 0.12 or 0.1
    ax.set_ylim(bottom - room, top + room)


def true_quality(turns: Sequence[Row], layout: Layout) -> Figure | None:
    """True nDCG@10 of each loop, turn by turn.

    Args:
        turns: `turn, loop, true_ndcg` and, where known, `ci_low, ci_high`.
        layout: the room.
    """
    turns = [row for row in turns if _is_number(row.get("true_ndcg"))]
    if not turns:
        return None
    figure = _figure(layout, 3.2)
    ax = figure.subplots()
    _draw_quality(ax, turns)
    handles = {
        line.get_label(): line
        for line in ax.get_lines()
        if not str(line.get_label()).startswith("_")
    }
    _legend(figure, handles, layout)
    return figure


def _draw_quality(ax: Axes, turns: Sequence[Row]) -> None:
    names = list(dict.fromkeys(row["loop"] for row in turns))
    known = [name for name in LOOPS if name in names]
    for name in known + [name for name in names if name not in LOOPS]:
        rows = sorted((row for row in turns if row["loop"] == name), key=lambda row: row["turn"])
        look = LOOPS.get(name, OTHER_LOOP)
        x = [row["turn"] for row in rows]
        if all(_is_number(row.get("ci_low")) and _is_number(row.get("ci_high")) for row in rows):
            ax.fill_between(
                x,
                [row["ci_low"] for row in rows],
                [row["ci_high"] for row in rows],
                color=look["color"],
                alpha=0.15,
                linewidth=0,
            )
        ax.plot(
            x,
            [row["true_ndcg"] for row in rows],
            label=plain_label(name),
            markersize=5.5,
            **look,
        )
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(nbins=6))
    ax.margins(x=0.04, y=0.12)
    ax.set_xlabel("turn of the loop")
    ax.set_ylabel("true nDCG@10")


def ledger(rows: Sequence[Row], layout: Layout) -> Figure | None:
    """Observed against predicted difference, a cross a deployment; on the diagonal both agree.

    Args:
        rows: of `fct_offline_online_ledger`, both differences known; drawn in percent.
        layout: the room.
    """
    rows = [
        row
        for row in rows
        if _is_number(row["predicted_delta"]) and _is_number(row["observed_delta"])
    ]
    if not rows:
        return None
    figure = _figure(layout, 3.4 if layout.narrow else 3.2)
    ax = figure.subplots()
    for row in rows:
        x, y = row["predicted_delta"] * 100, row["observed_delta"] * 100
        low, high = row["predicted_ci_low"], row["predicted_ci_high"]
        if _is_number(low) and _is_number(high):
            ax.hlines(y, low * 100, high * 100, color=BLUE, linewidth=1.4, alpha=0.7)
        low, high = row["observed_ci_low"], row["observed_ci_high"]
        if _is_number(low) and _is_number(high):
            ax.vlines(x, low * 100, high * 100, color=BLUE, linewidth=1.4, alpha=0.7)
        ax.plot(x, y, marker="o", markersize=6, color=BLUE)
    ax.axline((0, 0), slope=1, color=FAINT, linewidth=1, linestyle="--")
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.axvline(0, color=INK, linewidth=0.8)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=5))
        axis.set_major_formatter(FuncFormatter(_signed))
    ax.margins(0.08)
    ax.set_xlabel("predicted offline, % clicks per search")
    ax.set_ylabel("observed online, %")
    return figure


def iteration_deltas(iterations: Sequence[Row], offline_unit: str, layout: Layout) -> Figure | None:
    """Offline and online difference of every turn, side by side, with their intervals.

    Args:
        iterations: rows of `fct_flywheel_iterations`.
        offline_unit: the offline metric's name.
        layout: the room.
    """
    panels = [
        ("Offline: challenger minus champion", "offline_delta", offline_unit, 1.0),
        ("Online: canary minus champion", "online_delta", "percentage points", 100.0),
    ]
    if not any(_is_number(row[name]) for row in iterations for _, name, _, _ in panels):
        return None
    numbers = sorted({row["iteration"] for row in iterations})
    figure = _figure(layout, 4.8 if layout.narrow else 2.7)
    axes = figure.subplots(*((2, 1) if layout.narrow else (1, 2)), squeeze=False).ravel()
    for ax, (title, name, unit, factor) in zip(axes, panels, strict=True):
        for row in iterations:
            low, high = row[f"{name}_ci_low"], row[f"{name}_ci_high"]
            if not _is_number(row[name]):
                continue
            if _is_number(low) and _is_number(high):
                ax.vlines(row["iteration"], low * factor, high * factor, color=BLUE, linewidth=2)
            ax.plot(
                row["iteration"],
                row[name] * factor,
                marker="o",
                markersize=6.5,
                color=BLUE,
                markerfacecolor=BLUE if _is_number(low) and low > 0 else "white",
            )
        ax.axhline(0, color=INK, linewidth=1)
        ax.set_xlim(numbers[0] - 0.5, numbers[-1] + 0.5)
        # One turn alone makes the locator fall back to tenths of a turn.
        ax.set_xticks(numbers if len(numbers) <= 10 else numbers[:: len(numbers) // 8])
        ax.yaxis.set_major_formatter(FuncFormatter(_signed))
        ax.yaxis.set_major_locator(MaxNLocator(nbins=5))
        ax.margins(y=0.15)
        ax.set_title(title)
        ax.set_xlabel("turn of the loop")
        ax.set_ylabel(unit)
        if not any(_is_number(row[name]) for row in iterations):
            ax.set_yticks([])
            ax.text(0.5, 0.55, "not measured yet", transform=ax.transAxes, ha="center",
                    color=MUTED)  # fmt: skip
    return figure


def curve_picture(
    propensities: Sequence[Row],
    raw_click_rates: Sequence[Row],
    truth: Sequence[float] | None,
    turns: Sequence[Row],
) -> Figure | None:
    """The README's picture: the position-bias curve, and beside it quality by turn if it is known.

    The curve is that of the context with the most clicks, over the first ten ranks: robots page
    deeper than people. The flat line of no correction is left out.
    """
    contexts = propensity_contexts(propensities)[:1]
    here = [
        row
        for row in propensities
        if row["context"] in contexts
        and (row["is_active"] or row["estimator"] != "none")
        and row["rank"] <= 10
    ]
    raw_click_rates = [row for row in raw_click_rates if row["rank"] <= 10]
    has_curve = any(row["is_active"] and _is_positive(row["propensity"]) for row in here)
    turns = [row for row in turns if _is_number(row.get("true_ndcg"))]
    if not has_curve and not turns:
        return None
    panels = has_curve + bool(turns)
    figure = Figure(figsize=(5.2 * panels, 3.9), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(h_pad=0.1, w_pad=0.14)
    axes = list(figure.subplots(1, panels, squeeze=False).ravel())
    if has_curve:
        ax = axes.pop(0)
        raw = [row for row in raw_click_rates if row["context"] in contexts]
        handles = _draw_curve(ax, here, raw, truth, log=False)
        ax.set_title("How often users look at each rank")
        ax.set_xlabel("rank (1 = top of the list)")
        ax.set_ylabel("relative to rank 1")
        ax.legend(list(handles.values()), list(handles))
    if turns:
        ax = axes.pop(0)
        _draw_quality(ax, turns)
        ax.set_title("True quality, turn by turn")
        ax.legend()
    return figure


def _figure(layout: Layout, height: float) -> Figure:
    figure = Figure(figsize=(layout.width, height), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.07, w_pad=0.07)
    return figure


def _legend(figure: Figure, handles: dict[str, Any], layout: Layout) -> None:
    if not handles:
        return
    room = layout.width * 72
    widths = [len(name) * 5.6 + 48 for name in handles]
    columns = len(handles)
    while columns > 1 and sum(sorted(widths)[-columns:]) > room:
        columns -= 1
    rows = math.ceil(len(handles) / columns)
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside upper left",
        ncols=math.ceil(len(handles) / rows),
        handlelength=2.4,
        columnspacing=1.6,
        borderaxespad=0,
    )


def _log_ticks(last: int) -> list[int]:
    return [tick for tick in (1, 2, 3, 5, 10, 20, 30, 50) if tick <= last]


def _signed(value: float, _: Any = None) -> str:
    text = f"{value:+.6g}" if abs(value) > 1e-12 else "0"
    return text.replace("-", "−")


def _day(value: float, _: Any = None) -> str:
    moment = num2date(value)
    return f"{moment.day} {moment:%b}"


def _is_number(value: Any) -> bool:
    return value is not None and math.isfinite(value)


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0
