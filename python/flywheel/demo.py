"""`flywheel demo`: the whole loop on simulated users, beside one that learns from raw clicks.

Both loops serve the same simulated world through the deployment manifest, exactly as a user's own
service would. Only the simulator knows the true relevance; it is shown, never used.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from flywheel import loop, registry, variables
from flywheel.errors import FlywheelError
from flywheel.files import write_atomic
from flywheel.settings import Settings, load_settings
from flywheel.terminal import Terminal
from flywheel.warehouse import connect

MARKER = "demo.json"
OUTCOME = "turns.json"
FIRST_DAY = date(2026, 1, 5)
RAW_CLICKS = {"propensity_estimator": "none"}


@dataclass(frozen=True)
class DemoPlan:
    """Sizes of the demo.

    Attributes:
        seed: of world, traffic and ranker.
        turns: turns of each loop.
        first_days: days of production traffic before the first turn.
        canary_days: days simulated before each build while a canary runs; the first looks for
            harm, and the share grows after it.
        canary_share: of users at first; a twentieth of so few would take weeks to be enough.
        canary_ramp_share: of users once a look shows no harm.
        searches_per_day: expected searches of humans.
        residual_share: share of relevance that no ranking feature shows, only clicks do.
    """

    seed: int = 7
    turns: int = 3
    first_days: int = 14
    canary_days: tuple[int, ...] = (5, 7, 7)
    canary_share: float = 0.1
    canary_ramp_share: float = 0.5
    searches_per_day: int = 1000
    residual_share: float = 0.5


def run_demo(settings: Settings, *, turns: int, seed: int, terminal: Terminal) -> dict[str, Any]:
    """Turn both loops, write the report, print the table.

    Returns:
        Turns of both loops, the truth, and the report's path.

    Raises:
        FlywheelError: the home folder holds somebody's own warehouse, or a step fails.
    """
    plan = DemoPlan(seed=seed, turns=turns)
    _make_room(settings)
    raw_home = settings.home / "raw_clicks"
    terminal.line(
        f"{turns} turns on a simulated shop (seed {seed}); a second loop learns from raw clicks."
    )
    other = _start_raw_clicks(raw_home, plan)
    try:
        turned = run_loop(settings, plan, {}, terminal)
        with terminal.step("Raw clicks") as step:
            if other.wait() != 0:
                raise FlywheelError(
                    f"The loop on raw clicks failed; its output is in {raw_home / 'output.txt'}."
                )
            raw = read_outcome(raw_home)
            step.result = f"{len(raw['turns'])} turns of the other loop"
    finally:
        if other.poll() is None:
            other.terminate()
            other.wait()
    truth = _truth(turned, raw)
    write_atomic(settings.home / "truth.json", (json.dumps(truth, indent=2) + "\n").encode())
    from flywheel.report import write_report

    with terminal.step("Report") as step:
        report = write_report(settings, truth=truth)
        step.result = str(report)
    _show(turned, raw, terminal)
    terminal.line(f"Report: {report}", style="bold")
    return {"flywheel": turned, "raw_clicks": raw, "report": str(report)}


def run_loop(
    settings: Settings,
    plan: DemoPlan,
    given: Mapping[str, Any],
    terminal: Terminal,
    *,
    tests: bool = True,
) -> dict[str, Any]:
    """Simulate, turn, serve, judge; `plan.turns` times.

    Args:
        settings: a home folder of the loop's own.
        plan: sizes and seed.
        given: dbt vars beside the log's.
        terminal: where to say what happens.
        tests: run dbt's tests and Great Expectations in the first turn.

    Returns:
        `production_ndcg`, `propensities` (true, by rank) and `turns`, one entry each.
    """
    from flywheel.serving import load_deployment
    from flywheel.simulator import World, page_orders, simulate

    world = World(seed=plan.seed, residual_share=plan.residual_share)
    log = settings.home / "raw_logs"
    features = world.write_features(settings.home / "ranking_features.parquet")
    given = {
        **variables.for_log(str(log), "ubi", str(features)),
        "canary_share": plan.canary_share,
        "canary_ramp_share": plan.canary_ramp_share,
        **given,
    }
    clock = _Clock(FIRST_DAY)

    def serve(days: int) -> None:
        deployed = settings.deployment_manifest.exists()
        deployment = load_deployment(settings.deployment_manifest) if deployed else None
        with terminal.step("Serve") as step:
            done = simulate(
                world,
                deployment,
                out_dir=log,
                days=days,
                start_date=clock.day,
                searches_per_day=plan.searches_per_day,
                seed=plan.seed,
            )
            clock.day += timedelta(days=days)
            step.result = f"{days} days until {clock.day}, {done.n_human_searches:,} searches"

    def true_ndcg(variant: str) -> float:
        deployment = load_deployment(settings.deployment_manifest)
        return world.true_ndcg(page_orders(world, deployment)[variant])

    def true_clicks_delta() -> float:
        orders = page_orders(world, load_deployment(settings.deployment_manifest))
        earned = {name: world.expected_clicks(order) for name, order in orders.items()}
        return earned["canary"] / earned["champion"] - 1

    production = world.true_ndcg(world.production_order)
    serve(plan.first_days)
    turns = []
    for number in range(1, plan.turns + 1):
        terminal.line()
        terminal.line(f"Turn {number}", style="bold")
        outcome = loop.turn(
            settings,
            given,
            terminal,
            seed=plan.seed,
            at=clock.midnight,
            tests=tests and number == 1,
            gates=tests and number == 1,
            rebuild=number == 1,
        )
        challenger_ndcg = clicks_delta = verdict = None
        if outcome.status == "deployed":
            challenger_ndcg, clicks_delta = true_ndcg("canary"), true_clicks_delta()
            for days in plan.canary_days:
                serve(days)
                loop.build(settings, given, terminal, tests=False)
                verdict = loop.judge(settings, given, terminal, at=clock.midnight)
                if verdict.decision != "continue":
                    break
        else:
            serve(plan.canary_days[0])
            loop.build(settings, given, terminal, tests=False)
        turns.append(
            {
                "turn": number,
                "status": outcome.status,
                "reason": outcome.reason,
                "offline": _offline(outcome.offline),
                "verdict": verdict.decision if verdict else None,
                "verdict_reason": verdict.reason if verdict else None,
                "challenger_version": outcome.challenger_version,
                "challenger_true_ndcg": challenger_ndcg,
                "true_clicks_delta": clicks_delta,
                "observed": _observed(settings, outcome.challenger_version),
                "champion_version": registry.champion(settings),
                "champion_true_ndcg": true_ndcg("champion"),
            }
        )
    return {
        "production_ndcg": production,
        "propensities": [float(p) for p in world.true_propensities(10)],
        "turns": turns,
    }


class _Clock:
    """The simulated world's calendar."""

    def __init__(self, day: date) -> None:
        self.day = day

    @property
    def midnight(self) -> datetime:
        return datetime.combine(self.day, datetime.min.time())


def _make_room(settings: Settings) -> None:
    """Start afresh, but never over somebody's own log or models."""
    marker = settings.home / MARKER
    if settings.database.exists() and not marker.exists():
        given = variables.remembered(settings)
        owned = any(given.get(name) for name in variables.PATH_VARS)
        with contextlib.suppress(FlywheelError):  # a warehouse may lack a registry
            owned = owned or bool(registry.state(settings).versions)
        if owned:
            raise FlywheelError(
                f"{settings.home} holds a warehouse of your own log; give the demo a folder of "
                "its own: FLYWHEEL_HOME=.flywheel-demo make demo."
            )
    settings.home.mkdir(parents=True, exist_ok=True)
    write_atomic(marker, b'{"made_by": "flywheel demo"}\n')
    for name in ("raw_logs", "truth", "raw_clicks", "models", "deployments", "reports"):
        shutil.rmtree(settings.home / name, ignore_errors=True)
    for path in (
        settings.database,
        settings.database.with_name(settings.database.name + ".wal"),
        settings.deployment_manifest,
        settings.home / "vars.json",
    ):
        path.unlink(missing_ok=True)


def _start_raw_clicks(home: Path, plan: DemoPlan) -> subprocess.Popen[bytes]:
    home.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "FLYWHEEL_HOME": str(home),
        "FLYWHEEL_DB": str(home / "warehouse.duckdb"),
        "PYTHONUNBUFFERED": "1",
    }
    with (home / "output.txt").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "flywheel.demo", str(plan.seed), str(plan.turns), "raw_clicks"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def _offline(row: Mapping[str, Any] | None) -> dict[str, Any] | None:
    names = ("verdict", "relative_delta", "relative_delta_ci_low", "relative_delta_ci_high")
    return {name: row[name] for name in names} if row else None


def _observed(settings: Settings, version: str | None) -> dict[str, Any] | None:
    """What users made of a model, as the ledger has it; of a ramped canary, the larger share."""
    with connect(settings) as warehouse:
        row = warehouse.execute(
            "select observed_delta, observed_ci_low, observed_ci_high "
            "from fct_offline_online_ledger where challenger_version = ? "
            "and observed_delta is not null order by started_at desc, deployment_id desc limit 1",
            [version],
        ).fetchone()
    names = ("relative_delta", "relative_delta_ci_low", "relative_delta_ci_high")
    return dict(zip(names, row, strict=True)) if row else None


def _truth(turned: Mapping[str, Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    lines = []
    for name, outcome in (("flywheel", turned), ("raw clicks", raw)):
        lines.append({"turn": 0, "loop": name, "true_ndcg": outcome["production_ndcg"]})
        lines += [
            {"turn": t["turn"], "loop": name, "true_ndcg": t["champion_true_ndcg"]}
            for t in outcome["turns"]
        ]
    lines += [
        {"turn": number, "loop": "production", "true_ndcg": turned["production_ndcg"]}
        for number in range(len(turned["turns"]) + 1)
    ]
    return {"propensities": turned["propensities"], "turns": lines}


def _show(turned: Mapping[str, Any], raw: Mapping[str, Any], terminal: Terminal) -> None:
    rows = []
    for mine, other in zip(turned["turns"], raw["turns"], strict=True):
        offline = mine["offline"]
        rows.append(
            (
                str(mine["turn"]),
                f"{offline['verdict']}: {_clicks(offline)}" if offline else "-",
                mine["verdict"] or mine["status"],
                f"{mine['champion_true_ndcg']:.4f}",
                f"({other['verdict'] or other['status']})",
                f"{other['champion_true_ndcg']:.4f}",
            )
        )
    terminal.line()
    terminal.table(
        f"True nDCG@10 after each turn (production ranker: {turned['production_ndcg']:.4f})",
        [
            ("turn", "right"),
            ("offline: clicks [interval]", "left"),
            ("canary", "left"),
            ("flywheel", "right"),
            ("(its canary)", "left"),
            ("raw clicks", "right"),
        ],
        rows,
    )
    deployed = [mine for mine in turned["turns"] if mine["true_clicks_delta"] is not None]
    if deployed:
        terminal.line()
        terminal.table(
            "Clicks per search, each canary against its champion",
            [
                *(("turn", "right"), ("predicted offline", "left"), ("observed online", "left")),
                ("true", "right"),
            ],
            [
                (
                    str(mine["turn"]),
                    _clicks(mine["offline"]),
                    _clicks(mine["observed"]),
                    f"{mine['true_clicks_delta']:+.1%}",
                )
                for mine in deployed
            ],
        )
    terminal.line()
    for mine in turned["turns"]:
        if mine["verdict_reason"]:
            terminal.line(f"turn {mine['turn']}: {mine['verdict']} - {mine['verdict_reason']}")


def _clicks(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "-"
    low, high = row["relative_delta_ci_low"], row["relative_delta_ci_high"]
    return f"{row['relative_delta']:+.1%} [{low:+.1%}, {high:+.1%}]"


def read_outcome(home: Path) -> dict[str, Any]:
    """What a loop that ran as a process of its own came to."""
    return json.loads((home / OUTCOME).read_text(encoding="utf-8"))


def _main(seed: str, turns: str, name: str) -> None:
    settings = load_settings()
    plan = DemoPlan(seed=int(seed), turns=int(turns))
    given = RAW_CLICKS if name == "raw_clicks" else {}
    turned = run_loop(settings, plan, given, Terminal(), tests=False)
    write_atomic(settings.home / OUTCOME, json.dumps(turned, default=str).encode())


if __name__ == "__main__":
    _main(*sys.argv[1:])
