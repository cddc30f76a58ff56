"""The bot rules against simulated bots and people, and the parts of that measurement."""

import csv
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from scipy import stats

from bench import bots as bench_bots
from bench import bots_page
from bench.page import write_page
from flywheel.errors import FlywheelError
from flywheel.simulator import BOT_KINDS, PERSONAS
from flywheel.simulator.words import (
    CRAWLER_AGENTS,
    DESKTOP_AGENTS,
    MOBILE_AGENTS,
    UNLISTED_CRAWLER_AGENTS,
    UNUSUAL_PHONE_AGENTS,
)
from sql_project import PROJECT, SqlProject

# The chance that any one of a handful of true statements fails is below one in ten thousand.
MAX_Z = 4.5
SEEDS = (401, 402)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Visitors' days of worlds that the tables have not seen, through the project's models."""
    folder = tmp_path_factory.mktemp("bots")
    bench_bots.write_worlds(folder, SEEDS, days=7)
    return bench_bots.judged_days(folder)


@pytest.fixture(scope="module")
def documented() -> dict[str, Any]:
    return json.loads((PROJECT / "docs" / "bots.json").read_text("utf-8"))


def _allowed(one: dict[str, float], other: dict[str, float]) -> float:
    """How far apart two measured shares may lie, from their intervals (Newcombe 1998)."""
    low, high = sorted((one, other), key=lambda value: value["share"])
    up, down = low["ci_high"] - low["share"], high["share"] - high["ci_low"]
    return MAX_Z / bench_bots.Z * (up**2 + down**2) ** 0.5


@pytest.mark.slow
def test_recall_by_kind_is_as_documented(
    rows: list[dict[str, Any]], documented: dict[str, Any]
) -> None:
    found = bench_bots.summarise(rows)["bots"]
    assert set(found) == set(documented["bots"]) == set(BOT_KINDS)
    for kind, row in found.items():
        said = documented["bots"][kind]["recall"]
        assert row["n_days"] >= 8, kind
        apart = abs(row["recall"]["share"] - said["share"])
        assert apart <= _allowed(row["recall"], said), kind
        assert said["share"] > 0.5, kind


@pytest.mark.slow
def test_people_are_left_alone_however_odd(
    rows: list[dict[str, Any]], documented: dict[str, Any]
) -> None:
    people = [row for row in rows if not row["is_bot"]]
    assert {row["persona"] for row in people} == set(PERSONAS)
    assert sum(row["persona"] == "power_user" for row in people) >= 20
    flagged = [row for row in people if row["reasons"]]
    # One day in a thousand at most, in these worlds and in the documented ones.
    assert len(flagged) <= stats.binom.ppf(1 - 1e-4, len(people), 1e-3), flagged
    hard = [row for row in people if row["persona"] != "ordinary"]
    flagged = [row for row in hard if row["reasons"]]
    assert len(flagged) <= stats.binom.ppf(1 - 1e-4, len(hard), 2e-3), flagged
    assert bench_bots.summarise(rows)["all"]["precision"]["share"] > 0.98
    for persona, row in documented["people"].items():
        assert row["false_positives"]["share"] < 0.01, persona
    assert documented["all"]["hard_false_positives"]["ci_high"] < 0.01
    assert documented["all"]["precision"]["ci_low"] > 0.99


@pytest.mark.slow
def test_every_rule_earns_its_place(rows: list[dict[str, Any]], documented: dict[str, Any]) -> None:
    rules = [*SqlProject().macro("bot_rules"), *SqlProject().macro("few_clicks_rules")]
    assert set(documented["rules"]) <= set(rules)
    # One that catches nobody in a shop of bots guards against others (searches_per_day).
    assert set(rules) - set(documented["rules"]) <= {"searches_per_day"}
    assert {reason for row in rows for reason in row["reasons"]} <= set(rules)
    for row in rows:
        assert row["reasons"] == sorted(set(row["reasons"]))


@pytest.mark.slow
def test_power_users_would_be_taken_for_bots_by_volume_alone(rows: list[dict[str, Any]]) -> None:
    """The hard people are hard: simpler rules would flag them."""
    power = [row for row in rows if row["persona"] == "power_user"]
    assert all(row["n_searches"] > 50 for row in power)
    by_persona = {
        persona: [row for row in rows if row["persona"] == persona] for persona in PERSONAS
    }
    # By every click sent, half of a double clicker's clicks come within a second.
    assert any(
        row["n_clicks"] >= 1.7 * row["n_visits"] >= 10 for row in by_persona["double_clicker"]
    )
    assert any(
        row["n_text_searches"] >= 6 and row["n_distinct_queries"] == 1
        for row in by_persona["refinder"]
    )


def test_documented_tables_are_those_of_the_page(documented: dict[str, Any]) -> None:
    page = (PROJECT / "docs" / "bots.md").read_text("utf-8")
    assert page.split(bots_page.MARK)[1].strip() == bots_page.markdown(documented).strip()
    assert set(documented["worlds"]["training"]).isdisjoint(documented["worlds"]["test"])
    assert set(SEEDS).isdisjoint(documented["worlds"]["test"])


# Sites where people click more or less often.

RATES = {"0.05": 411, "0.1": 412, "0.3": 413, "0.9": 414}
# Many big days, so that a few days hold many of power users.
CROWDED = {"searches_per_day": 5000, "bot_share": 0.15, "hard_share": 0.5}


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Visitors' days of four sites in one log, worlds that the tables have not seen."""
    folder = tmp_path_factory.mktemp("sites")
    for site, seed in RATES.items():
        world, _ = bench_bots.RATE_WORLDS[site]
        bench_bots.write_worlds(
            folder, (seed,), days=3, traffic=CROWDED, world=world, application=site
        )
    found: dict[str, list[dict[str, Any]]] = {site: [] for site in RATES}
    for row in bench_bots.judged_days(folder):
        if row["application"] is not None:  # a click of the day before
            found[row["application"]].append(row)
    return found


def share_flagged(rows: list[dict[str, Any]]) -> float:
    return sum(bool(row["reasons"]) for row in rows) / len(rows)


@pytest.mark.slow
@pytest.mark.parametrize("site", RATES)
def test_people_are_left_alone_however_seldom_they_click(
    sites: dict[str, list[dict[str, Any]]], site: str
) -> None:
    people = [row for row in sites[site] if not row["is_bot"]]
    power = [row for row in people if row["persona"] == "power_user"]
    assert len(people) > 500
    assert len(power) >= 20
    clicked = sum(r["n_clicked_searches"] for r in people) / sum(r["n_searches"] for r in people)
    assert clicked == pytest.approx(float(site), rel=0.2)
    assert share_flagged(people) <= 0.01
    assert share_flagged(power) <= 0.01
    # Measured per site, robots or not: people's own rate or the next band below it.
    (assumed,) = {row["assumed_click_rate"] for row in sites[site]}
    assert 0.5 * clicked <= assumed <= 1.05 * clicked


@pytest.mark.slow
def test_fixed_thresholds_lose_the_heavy_users_of_a_site(
    sites: dict[str, list[dict[str, Any]]],
) -> None:
    """The worlds are hard: thresholds that know no click rate flag many more than one in 100."""

    def share(site: str) -> float:
        power = [row for row in sites[site] if row["persona"] == "power_user"]
        return sum(map(bench_bots.is_flagged_by_fixed_thresholds, power)) / len(power)

    # Where a tenth is clicked, people of 20 searches are lost, not those of 100: see below.
    assert share("0.05") > 0.2
    assert share("0.9") == 0


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.1, 0.3, 0.65, 0.9])
def test_no_number_of_searches_makes_one_person_in_a_hundred_a_bot(rate: float) -> None:
    """Exactly: all numbers of clicks that n searches may come with, all of them paged deep."""
    project = SqlProject()
    edge = max(edge for edge in project.variable("bot_click_rate_bands") if edge <= rate)
    conditions = " or ".join(
        f"({rule['condition']} and chance <= {rule['max_chance']})"
        for rule in project.macro("few_clicks_rules").values()
    )
    fixed = " or ".join(
        f"({rule['condition']})" for rule in project.macro("few_clicks_rules").values()
    )
    chance = project.macro("few_clicks_chance", "n_searches", "n_clicks", str(edge))
    with duckdb.connect() as connection:
        days = connection.execute(
            f"""
            select n_searches, n_clicks, {conditions}, {fixed}
            from (
                select *, {chance} as chance
                from (
                    select n as n_searches, n as n_deep_searches, k as n_clicks,
                        k as n_clicked_searches
                    from range(1, 301) as searches (n)
                    cross join range(0, 16) as clicks (k)
                    where k <= n
                )
            )
            """
        ).fetchall()
    flagged, by_fixed = [0.0] * 301, [0.0] * 301
    for n, k, is_flagged, is_flagged_by_fixed in days:
        likely = float(stats.binom.pmf(k, n, rate))
        flagged[n] += likely * is_flagged
        by_fixed[n] += likely * is_flagged_by_fixed
    assert len(days) > 300 * 15
    assert max(flagged) <= 0.01
    if rate <= 0.1:
        assert by_fixed[20] > 0.1


def test_documented_click_rates_lose_nobody_either(documented: dict[str, Any]) -> None:
    rates = [row["clicked_share"] for row in documented["rates"]]
    for wanted in map(float, RATES):
        assert any(rate == pytest.approx(wanted, rel=0.15) for rate in rates), wanted
    for row in documented["rates"]:
        assert row["people"]["ci_high"] < 0.01
        assert row["power_users"]["share"] <= 0.01
        assert row["power_users_fixed"] > 0.01 or row["clicked_share"] > 0.12
        assert row["assumed_click_rate"] <= 1.2 * row["clicked_share"]


# User agents, by the model itself and the whole list.


@pytest.fixture(scope="module")
def verdicts() -> dict[str, bool]:
    connection = duckdb.connect()
    connection.execute("create table int_log_searches (user_agent varchar)")
    connection.execute("create table int_log_events (user_agent varchar)")
    connection.execute(
        "create table bot_user_agent_patterns (pattern varchar, literal varchar, tags varchar)"
    )
    with (PROJECT / "seeds" / "bot_user_agent_patterns.csv").open(encoding="utf-8") as file:
        connection.executemany(
            "insert into bot_user_agent_patterns values (?, ?, ?)",
            [(r["pattern"], r["literal"] or None, r["tags"]) for r in csv.DictReader(file)],
        )
    agents = {
        *CRAWLER_AGENTS,
        *UNLISTED_CRAWLER_AGENTS,
        *DESKTOP_AGENTS,
        *MOBILE_AGENTS,
        *UNUSUAL_PHONE_AGENTS,
    }
    connection.executemany("insert into int_log_searches values (?)", [(a,) for a in agents])
    connection.execute("insert into int_log_events values (null)")
    SqlProject().build(connection, "int_user_agents__classified")
    return dict(
        connection.execute(
            "select user_agent, is_bot_user_agent from int_user_agents__classified"
        ).fetchall()
    )


@pytest.mark.parametrize("agent", [*DESKTOP_AGENTS, *MOBILE_AGENTS, *UNUSUAL_PHONE_AGENTS])
def test_no_persons_agent_is_a_robots(verdicts: dict[str, bool], agent: str) -> None:
    assert verdicts[agent] is False


def test_honest_crawlers_are_known_by_name_or_address(verdicts: dict[str, bool]) -> None:
    assert all(verdicts[agent] for agent in CRAWLER_AGENTS)
    assert [a for a in UNLISTED_CRAWLER_AGENTS if not verdicts[a]] == ["acme-sync 0.3"]
    assert None not in verdicts


def test_patterns_stay_text() -> None:
    project = SqlProject()
    with duckdb.connect() as connection:

        def matches(text: str, patterns: list[str]) -> bool:
            condition = project.macro("matches_any_pattern", "$1", patterns)
            return connection.execute(f"select {condition}", [text] if patterns else []).fetchone()[
                0
            ]

        assert matches("it's a bot", ["x", "it's"])
        assert not matches("its a bot", ["x", "it's"])
        assert not matches("x", ["' or true or '"])
        assert matches("shop bot", ["^shop", "y"])
        assert matches("anything", []) is False


# What a visitor does, from a log written by hand.

DAY = datetime(2026, 1, 5, 10)


def signals_of(
    searches: list[tuple[str, float, str | None]],
    events: list[tuple[str, str | None, float, str | None]],
) -> dict[str, Any]:
    """Signals of the one visitor's day.

    Args:
        searches: id, seconds and text.
        events: action, search, seconds and document.
    """
    connection = duckdb.connect()
    connection.execute(
        """
        set TimeZone = 'UTC';
        create table int_activities__sessionized (user_id varchar, activity_at timestamp,
            action varchar, action_order integer, activity_id varchar, search_id varchar);
        create table int_log_searches (search_id varchar, user_id varchar, searched_at timestamp,
            application varchar, normalized_query varchar, user_agent varchar);
        create table int_log_events (event_id varchar, user_id varchar, event_at timestamp,
            doc_id varchar, explicit_dwell_seconds double, has_event_time boolean,
            user_agent varchar);
        create table int_log_impressions (search_id varchar, rank integer);
        create table int_user_agents__classified (user_agent varchar, is_bot_user_agent boolean);
        """
    )
    for name, second, text in searches:
        at = DAY + timedelta(seconds=second)
        connection.execute(
            "insert into int_log_searches values (?, 'v', ?, 'shop', ?, 'browser')",
            [name, at, text],
        )
        connection.execute(
            "insert into int_activities__sessionized values ('v', ?, 'search', 0, ?, ?)",
            [at, name, name],
        )
    for number, (action, search, second, document) in enumerate(events):
        at, name = DAY + timedelta(seconds=second), f"event {number}"
        connection.execute(
            "insert into int_log_events values (?, 'v', ?, ?, null, true, 'browser')",
            [name, at, document],
        )
        connection.execute(
            "insert into int_activities__sessionized values ('v', ?, ?, 1, ?, ?)",
            [at, action, name, search],
        )
    SqlProject().build(connection, "int_visitor_days__bot_signals")
    (row,) = (
        connection.sql("select * from int_visitor_days__bot_signals").to_arrow_table().to_pylist()
    )
    return row


def test_what_is_still_typed_is_no_search_of_its_own() -> None:
    """Six keys, one taken back, are one search: of "tent"; a click of it is one more thing."""
    texts = ("t", "te", "tem", "te", "ten", "tent")
    searches = [(f"s{n}", n * 0.4, text) for n, text in enumerate(texts)]
    keys = [("keystroke", f"s{n}", n * 0.4 + 0.1, None) for n in range(len(texts))]
    bought = [
        ("click", "s5", 9.0, "d"),
        ("add_to_cart", "s5", 9.5, "d"),
        ("scroll", "s5", 9.9, None),
    ]
    row = signals_of(searches, [*keys, *bought])
    assert row["n_searches"] == row["n_text_searches"] == row["n_distinct_queries"] == 1
    assert row["max_events_per_minute"] == 2
    assert row["n_clicks"] == row["n_clicked_searches"] == 1


@pytest.mark.parametrize(
    ("first", "second", "gap"),
    [
        ("tent", "tents", 3.1),  # read, then changed
        ("tent", "sofa", 0.5),
        ("tent", "tent", 0.5),  # the next page
        ("tent", "attent", 0.5),
        ("", "tent", 0.5),
        (None, "tent", 0.5),
        ("tent", None, 0.5),
    ],
)
def test_other_searches_count(first: str | None, second: str | None, gap: float) -> None:
    row = signals_of([("a", 0, first), ("b", gap, second)], [])
    assert row["n_searches"] == row["max_events_per_minute"] == 2
    assert row["n_text_searches"] == bool(first) + bool(second)


def test_what_is_done_to_other_documents_counts() -> None:
    """One document of two searches, two documents of one, and events that name neither."""
    row = signals_of(
        [("a", 0, "tent"), ("b", 20, "sofa")],
        [
            ("click", "a", 1, "d"),
            ("click", "b", 21, "d"),
            ("click", "b", 22, "e"),
            ("view", None, 23, None),
            ("view", None, 24, None),
        ],
    )
    assert row["max_events_per_minute"] == 7


def test_a_search_as_you_type_makes_nobody_a_robot() -> None:
    """84 searches in a day, 70 of them keys; what counted every event saw more than 30 a minute."""
    words = [f"{first}{rest}" for first in "abcdefghijklmn" for rest in ("olong",)]
    searches, events = [], []
    for number, word in enumerate(words):
        start = number * 9.0
        for length in range(1, 7):
            name = f"{word}-{length}"
            searches.append((name, start + length * 0.3, word[:length]))
            events.append(("keystroke", name, start + length * 0.3 + 0.1, None))
        events.append(("click", name, start + 5, f"doc {number}"))
        events.append(("add_to_cart", name, start + 6, f"doc {number}"))
    row = signals_of(searches, events)
    assert row["n_searches"] == len(words) == 14
    assert row["max_events_per_minute"] < 30 / 2
    assert row["n_clicked_searches"] == 14


# The arithmetic of the intervals.


@pytest.mark.parametrize(("hits", "n"), [(0, 30), (7, 30), (30, 30), (1, 500)])
def test_interval_of_single_trials_is_wilsons(hits: int, n: int) -> None:
    share, low, high = bench_bots.interval([1] * hits + [0] * (n - hits), [1] * n)
    wanted = stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert share == hits / n
    # The between-cluster variance has n - 1 in it, Wilson's has n.
    assert low == pytest.approx(wanted.low, abs=0.02 / n**0.5)
    assert high == pytest.approx(wanted.high, abs=0.02 / n**0.5)
    if hits in (0, n):
        assert (low, high) == pytest.approx((wanted.low, wanted.high))


def test_interval_of_visitors_who_repeat_themselves_counts_visitors() -> None:
    """Ten days alike of each visitor say no more than one."""
    once = bench_bots.interval([1, 0, 1, 1, 0, 1, 1, 1], [1] * 8)
    often = bench_bots.interval([10, 0, 10, 10, 0, 10, 10, 10], [10] * 8)
    assert often == pytest.approx(once)
    assert bench_bots.interval([0] * 8, [10] * 8) == pytest.approx(
        bench_bots.interval([0] * 8, [1] * 8)
    )


def test_interval_covers() -> None:
    """Visitors with habits of their own: 95 % of the intervals hold the truth, within chance."""
    import numpy as np

    rng = np.random.default_rng(5)
    repeats, covered = 600, 0
    for _ in range(repeats):
        trials = rng.integers(1, 8, 80)
        hits = rng.binomial(trials, rng.beta(1.4, 0.6, 80))
        _, low, high = bench_bots.interval(hits, trials)
        covered += low <= 0.7 <= high
    error = (0.95 * 0.05 / repeats) ** 0.5
    assert covered / repeats > 0.95 - 3 * error - 0.01  # a ratio of sums is a little biased


def test_a_page_without_marks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "bots.md"
    page.write_text("nothing\n", "utf-8")
    with pytest.raises(FlywheelError, match="twice"):
        write_page(page, "", bots_page.MARK)
    assert page.read_text("utf-8") == "nothing\n"
