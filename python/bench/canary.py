"""`make bench-canary`: how often the canary's rule decides wrongly, and how often it finds harm.

Users are simulated, the rule is not: the sums over users go through the project's own compiled SQL,
from `int_canary_looks__compared` to `fct_canary_decisions`, a deployment for each experiment.
"""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click
import duckdb
import numpy as np
import pyarrow as pa

from bench.page import write_page
from flywheel.dbt import run_dbt
from flywheel.errors import FlywheelError
from flywheel.settings import Settings, load_settings
from flywheel.terminal import Terminal

RULE = ("int_canary_looks__compared", "int_canary_looks__verified", "fct_canary_decisions")
START = date(2026, 3, 2)
SUCCESS = 0.6
"""Share of clicked searches that succeed; each search is a session here."""
MARK = "<!-- written by make bench-canary -->"
SEED = Path("seeds", "metrics.csv")
"""In the project: the metrics and what each may decide."""
VARIANTS, METRICS = ("champion", "canary"), ("ctr", "session_success")


@dataclass(frozen=True)
class Scenario:
    """A canary to simulate.

    Attributes:
        name: for the table.
        ctr: mean chance that a search is clicked.
        users: of the whole site, over all days.
        share: of users in the canary.
        lift: relative change of every user's chance of a click, in the canary.
        days: looks, one a day.
        sigma: of the lognormal activity; 2 is a very heavy tail.
        searches: mean of searches per user and day, whatever sigma is.
        alike: pseudo-counts of the beta distribution of users' tastes; few make them differ.
        loss: share of the canary's users who never reach the log.
        ramp: share of users once the rule calls the canary safe; 0 where it stays.
    """

    name: str
    ctr: float
    users: int = 3000
    share: float = 0.05
    lift: float = 0.0
    days: int = 14
    sigma: float = 1.0
    searches: float = 0.37
    alike: float = 7.0
    loss: float = 0.0
    ramp: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """How the canaries of a scenario ended.

    Attributes:
        scenario: what was simulated.
        repeats: experiments.
        promoted: share that were promoted.
        rolled_back: share that were rolled back.
        within_two_looks: share that were rolled back at the first or second look.
        canary_users: users the canary had on its first day, on average.
        decisions: decision, look and metric of each that was decided.
        ramped: share whose share of users was raised.
        ramp_look: the look after which it was, on average; nan if never.
    """

    scenario: Scenario
    repeats: int
    promoted: float
    rolled_back: float
    within_two_looks: float
    canary_users: float
    decisions: Sequence[tuple[str, int, str]]
    ramped: float = 0.0
    ramp_look: float = float("nan")


def simulate(
    scenario: Scenario, repeats: int, seed: int, ramps: Mapping[int, int] | None = None
) -> pa.Table:
    """The rows of fct_canary_metrics: per experiment, look, variant and metric the sums over users.

    Args:
        scenario: what users are like.
        repeats: experiments, each of its own users.
        seed: of all of it.
        ramps: after which look an experiment's share is raised, by its number; None where shares
            stay. Up to that look the same seed gives the same users and clicks, whatever is in
            it. From then on it is a deployment `r...`, whose sums start afresh.
    """
    rng = np.random.default_rng(seed)
    n = scenario.users
    shape = (repeats, scenario.days, len(VARIANTS), len(METRICS))
    sums = {name: np.zeros(shape) for name in ("n_users", "y", "d", "yy", "dd", "yd")}
    mean_log = np.log(scenario.searches) - scenario.sigma**2 / 2
    tastes = (scenario.ctr * scenario.alike, (1 - scenario.ctr) * scenario.alike)
    ramped_after = np.full(repeats, scenario.days)
    for repeat in range(repeats):
        if ramps is not None:
            rng = np.random.default_rng([seed, repeat])
            ramped_after[repeat] = ramps.get(repeat, scenario.days)
        buckets = rng.random(n)
        is_canary = buckets < scenario.share
        is_lost = is_canary & (rng.random(n) < scenario.loss)
        rates = rng.lognormal(mean_log, scenario.sigma, n) * ~is_lost
        taste = rng.beta(*tastes, n)
        chances = np.clip(taste * (1 + scenario.lift * is_canary), 0, 1)
        searched, clicked, succeeded = np.zeros((3, n))
        for day in range(scenario.days):
            if day == ramped_after[repeat]:
                is_canary = buckets < scenario.ramp
                chances = np.clip(taste * (1 + scenario.lift * is_canary), 0, 1)
                searched, clicked, succeeded = np.zeros((3, n))
            searches = rng.poisson(rates)
            clicks = rng.binomial(searches, chances)
            searched += searches
            clicked += clicks
            succeeded += rng.binomial(clicks, SUCCESS)
            for arm, members in enumerate((~is_canary, is_canary)):
                for metric, numerators in enumerate((clicked, succeeded)):
                    y, d = numerators[members], searched[members]
                    found = ((d > 0).sum(), y.sum(), d.sum(), y @ y, d @ d, y @ d)
                    for name, value in zip(sums, found, strict=True):
                        sums[name][repeat, day, arm, metric] = value
    places = np.indices(shape).reshape(len(shape), -1)
    dates = np.array([START + timedelta(days=day) for day in range(scenario.days)])
    y, d = sums["y"].ravel(), sums["d"].ravel()
    after = ramped_after[places[0]]
    is_ramped = places[1] >= after
    return pa.table(
        {
            "deployment_id": np.char.add(np.where(is_ramped, "r", "d"), places[0].astype(str)),
            "look": (places[1] - after * is_ramped + 1).astype(np.int32),
            "look_date": pa.array(dates[places[1]].tolist()),
            "variant": np.array(VARIANTS)[places[2]],
            "metric": np.array(METRICS)[places[3]],
            "n_users": sums["n_users"].ravel().astype(np.int64),
            **{f"sum_{name}": sums[name].ravel() for name in ("y", "d", "yy", "dd", "yd")},
            "value": pa.array(np.divide(y, d, where=d > 0, out=np.zeros_like(d)), mask=d == 0),
        }
    )


def replay(scenario: Scenario, repeats: int, seed: int, rule: Mapping[str, str]) -> Outcome:
    """Simulate canaries and let the project's SQL decide them all at once.

    Args:
        scenario: what users are like.
        repeats: experiments.
        seed: of the simulation.
        rule: SQL of the models in `RULE`, over plain table names.
    """
    ramps = None
    if scenario.ramp:
        with _decided(scenario, simulate(scenario, repeats, seed, {}), rule) as connection:
            ramps = dict(
                connection.execute(
                    "select cast(substr(deployment_id, 2) as integer), "
                    "min(look) filter (where is_safe_to_ramp) as safe_look "
                    "from fct_canary_decisions group by deployment_id "
                    "having safe_look < coalesce(min(look) filter (where is_final), 1000) "
                    "and safe_look < ?",
                    [scenario.days],
                ).fetchall()
            )
    with _decided(scenario, simulate(scenario, repeats, seed, ramps), rule) as connection:
        decisions = connection.execute(
            "select decision, look, metric from fct_canary_decisions where is_final "
            "order by deployment_id"
        ).fetchall()
        (users,) = connection.execute(
            "select avg(n_canary_users) from fct_canary_decisions "
            "where look = 1 and deployment_id like 'd%'"
        ).fetchone()

    def share(kind: str, looks: int = scenario.days) -> float:
        return sum(d == kind and look <= looks for d, look, _ in decisions) / repeats

    return Outcome(
        scenario=scenario,
        repeats=repeats,
        promoted=share("promote"),
        rolled_back=share("roll_back"),
        within_two_looks=share("roll_back", 2),
        canary_users=users,
        decisions=decisions,
        ramped=len(ramps or ()) / repeats,
        ramp_look=float(np.mean(list(ramps.values()))) if ramps else float("nan"),
    )


@contextmanager
def _decided(
    scenario: Scenario, metrics: pa.Table, rule: Mapping[str, str]
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in which the project's SQL has decided."""
    with duckdb.connect() as connection:
        connection.execute("set threads = 2")
        connection.register("fct_canary_metrics", metrics)
        seed = load_settings().project / SEED
        connection.execute("create table metrics as from read_csv($1)", [str(seed)])
        connection.execute(
            "create table deployments as "
            "select deployment_id, "
            "if(deployment_id like 'r%', cast($2 as double), cast($1 as double)) as canary_share, "
            "cast(min(look_date) as timestamp) as started_at "
            "from fct_canary_metrics group by deployment_id",
            [scenario.share, scenario.ramp],
        )
        connection.execute(
            "create table int_canary_users__exposed as "
            "select deployment_id, 'u' as user_id, started_at as first_served_at, "
            "cast(null as date) as misassigned_date, cast(null as date) as mixed_date "
            "from deployments"
        )
        for name in RULE:
            connection.execute(f"create table {name} as {rule[name]}")
        yield connection


def compiled_rule(folder: Path, variables: Mapping[str, Any]) -> dict[str, str]:
    """SQL of the models in `RULE` as dbt compiles it, over plain table names.

    Args:
        folder: for dbt's target folder and a warehouse that stays empty.
        variables: dbt vars that differ from the project's.
    """
    folder.mkdir(exist_ok=True)
    settings = Settings(load_settings().project, folder, folder / "w.duckdb")
    run_dbt(settings, "compile", select=RULE, variables=variables)
    found = {}
    for name in RULE:
        (path,) = (folder / "target" / "compiled").rglob(f"{name}.sql")
        found[name] = re.sub(r'("\w+"\.){2}"(\w+)"', r"\2", path.read_text(encoding="utf-8"))
    return found


def _percent(value: float, repeats: int) -> str:
    error = np.sqrt(max(value * (1 - value), 1 / repeats) / repeats)
    return f"{100 * value:.1f} ± {100 * error:.1f} %"


NOTHING = tuple(
    Scenario(name, ctr=ctr, **settings)
    for name, settings in (
        ("as most sites", {}),
        ("20,000 users", {"users": 20_000}),
        ("heavy tail, sigma 2", {"sigma": 2.0}),
        ("tastes far apart", {"alike": 2.0, "searches": 2.0}),
        ("both", {"alike": 2.0, "searches": 2.0, "sigma": 2.0}),
    )
    for ctr in (0.05, 0.45, 0.97)
)
GAIN = tuple(
    Scenario(f"{users:,} users, {share:.0%}", ctr=0.45, users=users, share=share, lift=0.1)
    for users in (3000, 20_000)
    for share in (0.05, 0.2, 0.5)
)
HARM = (
    *(
        Scenario("2,000 canary users a day", ctr, users=82_000, lift=-0.2, days=2, searches=1.0)
        for ctr in (0.05, 0.45, 0.97)
    ),
    *(
        Scenario(f"{users:,} users, 5%", ctr, users=users, lift=lift)
        for users in (3000, 20_000)
        for ctr in (0.05, 0.45)
        for lift in (-0.2, -0.5, -1.0)
    ),
)
RAMP = 0.5
"""The larger share of `RAMPED`."""
RAMPED = tuple(
    Scenario(f"{users:,} users, 5% to {RAMP:.0%}", ctr, users=users, lift=lift, ramp=RAMP)
    for users in (3000, 20_000)
    for lift, ctrs in ((0.0, (0.05, 0.45, 0.97)), (0.1, (0.45,)), (-0.2, (0.45,)), (-0.5, (0.45,)))
    for ctr in ctrs
)


def measure(
    rule: Mapping[str, str], scenarios: Sequence[Scenario], repeats: int, terminal: Terminal
) -> list[Outcome]:
    """Replay each scenario; changes among many users, which are easily found, a third as often."""
    found = []
    for seed, scenario in enumerate(scenarios):
        with terminal.step(f"{scenario.name}, CTR {scenario.ctr}, {scenario.lift:+.0%}") as step:
            is_easy = scenario.lift != 0 and scenario.users * scenario.days > 100_000
            n = max(repeats // 3, 1) if is_easy else repeats
            outcome = replay(scenario, n, seed, rule)
            step.result = f"{outcome.promoted:.1%} promoted, {outcome.rolled_back:.1%} rolled back"
        found.append(outcome)
    return found


def markdown(
    nothing: Sequence[Outcome],
    gain: Sequence[Outcome],
    harm: Sequence[Outcome],
    ramped: Sequence[Outcome],
) -> str:
    """The tables of docs/canary.md."""
    lines = [
        "| a canary that changes nothing | CTR | experiments | promoted | rolled back |",
        "|---|--:|--:|--:|--:|",
    ]
    for o in nothing:
        cells = (_percent(o.promoted, o.repeats), _percent(o.rolled_back, o.repeats))
        lines.append(
            f"| {o.scenario.name} | {o.scenario.ctr} | {o.repeats} | {cells[0]} | {cells[1]} |"
        )
    lines += ["", "| +10 % of clicks, CTR 0.45 | experiments | promoted |", "|---|--:|--:|"]
    for o in gain:
        lines.append(f"| {o.scenario.name} | {o.repeats} | {_percent(o.promoted, o.repeats)} |")
    lines += [
        "",
        "| harm | CTR | clicks lost | canary users on day 1 | experiments | found in two looks "
        "| found at all |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for o in harm:
        lines.append(
            f"| {o.scenario.name} | {o.scenario.ctr} | {-o.scenario.lift:.0%} "
            f"| {o.canary_users:,.0f} | {o.repeats} "
            f"| {_percent(o.within_two_looks, o.repeats)} | {_percent(o.rolled_back, o.repeats)} |"
        )
    lines += [
        "",
        "| the share is raised | CTR | clicks | experiments | raised | after day | promoted "
        "| rolled back |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for o in ramped:
        lines.append(
            f"| {o.scenario.name} | {o.scenario.ctr} | {o.scenario.lift:+.0%} | {o.repeats} "
            f"| {_percent(o.ramped, o.repeats)} | {f'{o.ramp_look:.1f}' if o.ramped else ''} "
            f"| {_percent(o.promoted, o.repeats)} | {_percent(o.rolled_back, o.repeats)} |"
        )
    return "\n".join(lines) + "\n"


@click.command()
@click.option("--repeats", default=300, show_default=True, help="Experiments of a scenario.")
@click.option("--write", is_flag=True, help="Put the tables into docs/canary.md.")
def canary(repeats: int, write: bool) -> None:
    """Measure the canary's rule on simulated users."""
    terminal = Terminal()
    try:
        with tempfile.TemporaryDirectory(prefix="flywheel-canary-") as folder:
            rule = compiled_rule(Path(folder) / "fixed", {})
            ramping = compiled_rule(Path(folder) / "ramp", {"canary_ramp_share": RAMP})
        tables = markdown(
            *(measure(rule, scenarios, repeats, terminal) for scenarios in (NOTHING, GAIN, HARM)),
            measure(ramping, RAMPED, repeats, terminal),
        )
        terminal.line()
        terminal.line(tables)
        if write:
            write_page(load_settings().project / "docs" / "canary.md", tables, MARK)
    except FlywheelError as error:
        raise SystemExit(f"flywheel: {error}") from None
