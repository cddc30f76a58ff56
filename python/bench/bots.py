"""`make bench-bots`: how well bots are told from people, kind by kind, in worlds set aside for it.

Thresholds were chosen in the worlds of `TRAINING_SEEDS` (`--training` shows the signals there), and
are judged in those of `TEST_SEEDS`. The unit is a visitor's day, as it is of the rules.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from bench.bots_page import MARK, markdown, show
from bench.page import write_page
from flywheel import variables
from flywheel.dbt import run_dbt
from flywheel.errors import FlywheelError
from flywheel.settings import Settings, load_settings
from flywheel.terminal import Terminal
from flywheel.warehouse import connect

TRAINING_SEEDS = tuple(range(101, 107))
TEST_SEEDS = tuple(range(201, 213))
# Sites where people click more or less often, by about the share of their searches with a click:
# what is another world's there, and seeds.
RATE_WORLDS: dict[str, tuple[dict[str, float], tuple[int, ...]]] = {
    "0.05": ({"attraction": 0.045}, (321, 322, 323)),
    "0.1": ({"attraction": 0.09}, (331, 332, 333)),
    "0.17": ({"attraction": 0.15}, (341, 342, 343)),
    "0.3": ({"attraction": 0.29}, (351, 352, 353)),
    "0.9": ({"alpha": 0.3}, (361, 362, 363)),
}
DAYS = 14
# Many more robots and big days than a shop has, for narrower intervals; the days are like any.
TRAFFIC = {"searches_per_day": 800, "bot_share": 0.45, "hard_share": 0.5}
Z = 1.959963984540054  # 95 %

# A row a visitor's day; hard days are the big ones of people who have such days.
VISITOR_DAYS = """
    with reasons as (
        select user_id, activity_date, list(bot_reason order by bot_reason) as reasons
        from {intermediate}.int_visitor_days__bot_verdicts
        group by user_id, activity_date
    )
    select
        case
            when truth.persona = 'power_user' and signals.n_searches < 60 then 'ordinary'
            when truth.persona = 'refinder' and signals.n_text_searches < 6 then 'ordinary'
            else truth.persona
        end as persona,
        truth.is_bot,
        signals.*,
        rates.assumed_click_rate,
        coalesce(reasons.reasons, []) as reasons
    from {intermediate}.int_visitor_days__bot_signals as signals
    left join {intermediate}.int_applications__click_rates as rates
        on signals.application = rates.application
    inner join read_parquet(?) as truth on signals.user_id = truth.client_id
    left join reasons
        on
            signals.user_id = reasons.user_id
            and signals.activity_date = reasons.activity_date
    order by signals.user_id, signals.activity_date
"""


def interval(hits: npt.ArrayLike, trials: npt.ArrayLike) -> tuple[float, float, float]:
    """A share with its 95 % interval, where trials come in clusters.

    Wilson's interval at the effective number of trials: trials over the design effect of the
    clusters (Kish 1965); with nothing but hits or misses, the number of clusters.

    Args:
        hits: (C,) hits of each cluster, here of a visitor's days.
        trials: (C,) trials of each cluster, 1 or more.

    Returns:
        The share, and the interval's ends; NaN without a trial.
    """
    hits, trials = np.asarray(hits, dtype=float), np.asarray(trials, dtype=float)
    n, clusters = trials.sum(), len(trials)
    if n == 0:
        return (float("nan"),) * 3
    share = hits.sum() / n
    effective = float(clusters)
    if 0.0 < share < 1.0 and clusters > 1:
        between = clusters / (clusters - 1) * ((hits - share * trials) ** 2).sum() / n**2
        effective = n / max(1.0, between / (share * (1 - share) / n))
    spread = Z * np.sqrt(share * (1 - share) / effective + Z**2 / (4 * effective**2))
    middle, scale = share + Z**2 / (2 * effective), 1 + Z**2 / effective
    return (
        float(share),
        float(max(0.0, (middle - spread) / scale)),
        float(min(1.0, (middle + spread) / scale)),
    )


def write_worlds(
    folder: Path,
    seeds: Sequence[int],
    *,
    days: int,
    traffic: Mapping[str, Any] = TRAFFIC,
    world: Mapping[str, Any] | None = None,
    application: str = "shop",
) -> None:
    """Simulate a world a seed, and add its log and its truth to the folder.

    Args:
        folder: for log and truth.
        seeds: of worlds and traffic; no seed twice in a folder.
        days: of each world.
        traffic: further arguments of `simulate`.
        world: further arguments of `World`.
        application: the site that the worlds are of.
    """
    from flywheel.simulator import World, simulate
    from flywheel.simulator.writers import APPLICATION

    log = folder / "log"
    log.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        written = simulate(
            World(seed=seed, **(world or {})),
            out_dir=folder / "one",
            truth_dir=folder / "truth" / str(seed),
            days=days,
            seed=seed,
            **traffic,
        )
        for file in written.files:
            named = file.read_text("utf-8").replace(
                f'"application":"{APPLICATION}"', f'"application":"{application}"'
            )
            (log / f"{seed}_{file.name}").write_text(named, "utf-8")
            file.unlink()


def judged_days(folder: Path) -> list[dict[str, Any]]:
    """Run the project's own models on all worlds of the folder, and add the truth.

    Returns:
        A row a visitor's day: `persona`, `is_bot`, the signals, `assumed_click_rate`, `reasons`.
    """
    log = folder / "log"
    settings = Settings(load_settings().project, folder / "home", folder / "home" / "w.duckdb")
    settings.home.mkdir(parents=True)
    given = variables.for_log(str(log), "ubi", None)
    run_dbt(
        settings,
        "build",
        variables=given,
        select=["+int_visitor_days__bot_verdicts"],
        exclude=["resource_type:test", "resource_type:unit_test"],
    )
    with connect(settings) as connection:
        (schema,) = connection.execute(
            "select table_schema from information_schema.tables "
            "where table_name = 'int_visitor_days__bot_signals'"
        ).fetchone()
        query = connection.execute(
            VISITOR_DAYS.format(intermediate=schema),
            [f"{folder}/truth/*/visitors.parquet"],
        )
        names = [column[0] for column in query.description]
        return [dict(zip(names, row, strict=True)) for row in query.fetchall()]


def summarise(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Recall and precision by kind of bot, false positives by kind of human, and by rule.

    A kind's precision: of the flagged days of that kind and of all people, the share of the
    kind's. Its interval clusters by visitor, as all of them do.
    """
    from flywheel.simulator import BOT_KINDS, PERSONAS

    def share(chosen: Sequence[Mapping[str, Any]], is_hit: Any) -> dict[str, float]:
        hits: dict[str, int] = {}
        trials: dict[str, int] = {}
        for row in chosen:
            hits[row["user_id"]] = hits.get(row["user_id"], 0) + bool(is_hit(row))
            trials[row["user_id"]] = trials.get(row["user_id"], 0) + 1
        value, low, high = interval(list(hits.values()), list(trials.values()))
        return {"share": value, "ci_low": low, "ci_high": high}

    def flagged(row: Mapping[str, Any]) -> bool:
        return bool(row["reasons"])

    of_people = [row for row in rows if not row["is_bot"]]
    false = [row for row in of_people if flagged(row)]
    bots, people, rules = {}, {}, {}
    for kind in BOT_KINDS:
        mine = [row for row in rows if row["persona"] == kind]
        caught = [row for row in mine if flagged(row)]
        reasons = [reason for row in mine for reason in row["reasons"]]
        common = sorted(set(reasons), key=lambda reason: (-reasons.count(reason), reason))
        searches = sum(row["n_searches"] for row in mine)
        bots[kind] = {
            "n_days": len(mine),
            "n_flagged": len(caught),
            "n_searches": searches,
            "search_recall": sum(row["n_searches"] for row in caught) / max(1, searches),
            "recall": share(mine, flagged),
            "precision": share([*caught, *false], lambda row: row["is_bot"]),
            "reasons": common[:3],
        }
    for persona in PERSONAS:
        mine = [row for row in of_people if row["persona"] == persona]
        people[persona] = {
            "n_days": len(mine),
            "n_flagged": sum(map(flagged, mine)),
            "false_positives": share(mine, flagged),
            "reasons": sorted({reason for row in mine for reason in row["reasons"]}),
        }
    for rule in sorted({reason for row in rows for reason in row["reasons"]}):
        mine = [row for row in rows if rule in row["reasons"]]
        rules[rule] = {
            "n_days": len(mine),
            "n_alone": sum(len(row["reasons"]) == 1 for row in mine),
            "n_people": sum(not row["is_bot"] for row in mine),
        }
    caught = [row for row in rows if flagged(row)]
    hard = [row for row in of_people if row["persona"] != "ordinary"]
    searches = sum(row["n_searches"] for row in of_people)
    return {
        "clicked_share": sum(row["n_clicked_searches"] for row in of_people) / max(1, searches),
        "bots": bots,
        "people": people,
        "rules": rules,
        "all": {
            "precision": share(caught, lambda row: row["is_bot"]),
            "recall": share([row for row in rows if row["is_bot"]], flagged),
            "hard_false_positives": share(hard, flagged),
            "false_positives": share(of_people, flagged),
        },
    }


def is_flagged_by_fixed_thresholds(row: Mapping[str, Any]) -> bool:
    """What the rules about few clicks were before they knew a click rate, to compare with."""
    n, few = row["n_searches"], row["n_clicked_searches"] < 0.05 * row["n_searches"]
    return (
        (row["n_clicks"] == 0 and n >= 20)
        or (few and n >= 50)
        or (few and row["n_deep_searches"] >= 5)
    )


def by_click_rate(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a site's click rate makes of the rules: false positives, and each rule's recall.

    Returns:
        `clicked_share` of people's searches, `assumed_click_rate`, `people`, `power_users` and
        `recall` as shares with intervals, `power_users_fixed` as a share by fixed thresholds,
        `rules` as shares of the bots' days.
    """
    found = summarise(rows)
    power = [row for row in rows if row["persona"] == "power_user"]
    n_bots = sum(row["is_bot"] for row in rows)
    return {
        "clicked_share": found["clicked_share"],
        "assumed_click_rate": next(
            r["assumed_click_rate"] for r in rows if r["assumed_click_rate"] is not None
        ),
        "people": found["all"]["false_positives"],
        "power_users": found["people"]["power_user"]["false_positives"],
        "n_power_users": len(power),
        "power_users_fixed": sum(map(is_flagged_by_fixed_thresholds, power)) / max(1, len(power)),
        "recall": found["all"]["recall"],
        "rules": {
            rule: (row["n_days"] - row["n_people"]) / max(1, n_bots)
            for rule, row in found["rules"].items()
        },
    }


def extremes(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """What the thresholds are chosen from: people's extremes of each signal, and bots' middle.

    Returns:
        By signal: `people` (most extreme day), `people_999` (one day in a thousand), `bots`
        (median of the kind it is aimed at).
    """

    def clicked(row: Mapping[str, Any]) -> float:
        return row["n_clicked_searches"] / row["n_searches"]

    # signal: value, days on which the rule looks at it, whether bots have less, the kind aimed at
    table: dict[str, tuple[Any, Any, bool, str]] = {
        "n_searches": (lambda r: r["n_searches"], lambda r: True, False, "monitor"),
        "max_events_per_minute": (
            lambda r: r["max_events_per_minute"],
            lambda r: True,
            False,
            "rapid_clicker",
        ),
        "n_active_hours": (lambda r: r["n_active_hours"], lambda r: True, False, "slow_regular"),
        "gap_variation": (
            lambda r: r["gap_variation"],
            lambda r: r["n_searches"] >= 10 and r["gap_variation"] is not None,
            True,
            "slow_regular",
        ),
        "distinct_query_share": (
            lambda r: r["n_distinct_queries"] / r["n_text_searches"],
            lambda r: r["n_text_searches"] >= 20,
            True,
            "monitor",
        ),
        "n_searches_without_click": (
            lambda r: r["n_searches"],
            lambda r: r["n_clicks"] == 0,
            False,
            "headless",
        ),
        "clicked_share_of_50": (clicked, lambda r: r["n_searches"] >= 50, True, "headless"),
        "n_deep_searches": (lambda r: r["n_deep_searches"], lambda r: True, False, "scraper"),
        "clicked_share_of_5_deep": (
            clicked,
            lambda r: r["n_deep_searches"] >= 5,
            True,
            "scraper",
        ),
        "median_click_gap_seconds_of_6": (
            lambda r: r["median_click_gap_seconds"],
            lambda r: r["n_visits"] >= 6 and r["median_click_gap_seconds"] is not None,
            True,
            "rapid_clicker",
        ),
        "n_top_document_visits": (
            lambda r: r["n_top_document_visits"],
            lambda r: r["n_top_document_visits"] >= 0.4 * r["n_visits"],
            False,
            "click_farm",
        ),
        "top_document_dwell_seconds_of_6": (
            lambda r: r["top_document_dwell_seconds"],
            lambda r: (
                r["n_top_document_visits"] >= max(6, 0.4 * r["n_visits"])
                and r["top_document_dwell_seconds"] is not None
            ),
            True,
            "click_farm",
        ),
    }
    found = {}
    for name, (value, counts, is_low, kind) in table.items():
        people = [value(r) for r in rows if not r["is_bot"] and counts(r)]
        robots = [value(r) for r in rows if r["persona"] == kind and counts(r)]
        quantiles = [0.0, 0.001] if is_low else [1.0, 0.999]
        worst, rare = np.quantile(people, quantiles).tolist() if people else (None, None)
        found[name] = {
            "people_days": len(people),
            "people": worst,
            "people_999": rare,
            "bots": float(np.median(robots)) if robots else None,
            "kind": kind,
        }
    return found


@click.command()
@click.option("--worlds", default=len(TEST_SEEDS), show_default=True, help="Test worlds, of 12.")
@click.option("--days", default=DAYS, show_default=True, help="Days of each world.")
@click.option("--write", is_flag=True, help="Put the tables into docs/bots.md and docs/bots.json.")
def bots(worlds: int, days: int, write: bool) -> None:
    """Measure precision and recall of the bot rules by kind, in simulated worlds."""
    terminal = Terminal()
    folder = Path(tempfile.mkdtemp(prefix="flywheel-bots-"))
    try:
        with terminal.step("Training worlds") as step:
            write_worlds(folder / "training", TRAINING_SEEDS[:worlds], days=days)
            rows = judged_days(folder / "training")
            training = extremes(rows)
            step.result = f"{len(rows):,} visitor days"
        with terminal.step("Sites of other click rates") as step:
            for site, (world, seeds) in RATE_WORLDS.items():
                write_worlds(
                    folder / "rates", seeds[:worlds], days=days, world=world, application=site
                )
            rows = judged_days(folder / "rates")
            rates = [
                by_click_rate([row for row in rows if row["application"] == site])
                for site in RATE_WORLDS
            ]
            step.result = f"{len(rows):,} visitor days"
        with terminal.step("Test worlds") as step:
            write_worlds(folder / "test", TEST_SEEDS[:worlds], days=days)
            rows = judged_days(folder / "test")
            rates.append(by_click_rate(rows))
            step.result = f"{len(rows):,} visitor days"
        found = {
            **summarise(rows),
            "rates": sorted(rates, key=lambda row: row["clicked_share"]),
            "training": training,
            "worlds": {
                "training": list(TRAINING_SEEDS[:worlds]),
                "test": list(TEST_SEEDS[:worlds]),
                "rates": {
                    site: {**world, "seeds": list(seeds[:worlds])}
                    for site, (world, seeds) in RATE_WORLDS.items()
                },
                "days": days,
                **TRAFFIC,
            },
        }
        show(found, terminal)
        if write:
            docs = load_settings().project / "docs"
            write_page(docs / "bots.md", markdown(found), MARK)
            text = json.dumps(found, indent=2) + "\n"
            (docs / "bots.json").write_text(text, encoding="utf-8")
    except FlywheelError as error:
        raise SystemExit(f"flywheel: {error}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
