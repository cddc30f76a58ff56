"""The canary's statistics and decisions, against formulas, plain loops and simulations."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from scipy import integrate, special, stats

from bench import canary as bench_canary
from bench.canary import Scenario
from flywheel.serving import assignment_bucket
from sql_project import SqlProject

COUNTING = (
    "int_canary_searches__served",
    "int_canary_users__exposed",
    "int_canary_user_days__counted",
    "fct_canary_metrics",
)
DECIDING = ("int_canary_looks__compared", "int_canary_looks__verified", "fct_canary_decisions")
INPUTS = {
    "deployments": "deployment_id varchar, champion_version varchar, challenger_version varchar, "
    "salt varchar, canary_share double, started_at timestamp, ended_at timestamp",
    "fct_searches": "search_id varchar, session_id varchar, user_id varchar, "
    "searched_at timestamp, variant varchar, model_version varchar, is_bot boolean, "
    "n_clicks integer, bot_reasons varchar[]",
    "fct_sessions": "session_id varchar, user_id varchar, started_at timestamp, "
    "is_success boolean, is_bot boolean",
}
START = datetime(2026, 3, 2)
ALPHA, PLANNED_USERS = 0.05, 5000


def fill(
    connection: duckdb.DuckDBPyConnection, name: str, columns: str, rows: Iterable[tuple[Any, ...]]
) -> None:
    """Create a table and put the rows in."""
    connection.execute(f"create table {name} ({columns})")
    if rows := list(rows):
        names = [column.split()[0] for column in columns.split(", ")]
        columnar = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
        connection.register("rows_of_table", pa.table(columnar))
        connection.execute(f"insert into {name} select * from rows_of_table")
        connection.unregister("rows_of_table")


def evaluate(sql: str, **columns: Any) -> np.ndarray:
    """One SQL expression on numpy columns, in their order."""
    connection = duckdb.connect()
    length = len(next(iter(columns.values())))
    connection.register("rows_of_table", pa.table({"i": np.arange(length)} | columns))
    found = connection.sql(f"select {sql} as x from rows_of_table order by i").fetchnumpy()["x"]
    return np.ma.filled(found, np.nan)


# Assignment


def test_assignment_is_the_same_in_sql_in_the_server_and_by_hand() -> None:
    """On 100,000 ids, some not ASCII, and uniform over the buckets."""
    rng = np.random.default_rng(1)
    ids = [f"u{i}" for i in range(50_000)]
    ids += [f"пользователь-{n}-é" for n in rng.integers(0, 10**12, 50_000)]
    sql = SqlProject().macro("assignment_bucket", "salt", "id")
    found = evaluate(sql, salt=["a salt-7"] * len(ids), id=ids)
    by_hand = [int(hashlib.md5(f"a salt-7-{i}".encode()).hexdigest()[:8], 16) % 10_000 for i in ids]
    assert (found == by_hand).all()
    assert [assignment_bucket("a salt-7", i) for i in ids[::97]] == by_hand[::97]
    assert stats.chisquare(np.bincount(np.array(by_hand) // 100, minlength=100)).pvalue > 1e-4


def test_assignment_known_answer() -> None:
    # md5('s1-u1') begins with 12535d6b, which is 307453291: a new scheme must not pass unseen
    sql = SqlProject().macro("assignment_bucket", "'s1'", "'u1'")
    assert duckdb.sql(f"select {sql}").fetchall() == [(3291,)]


# Formulas


def user_sums(y: np.ndarray, d: np.ndarray) -> dict[str, float]:
    """The sufficient statistics of an arm, y and d per user."""
    sums = {"y": y.sum(), "d": d.sum(), "yy": y @ y, "dd": d @ d, "yd": y @ d}
    return {name: float(value) for name, value in sums.items()}


def test_delta_method_variance_is_that_of_the_residuals() -> None:
    rng = np.random.default_rng(2)
    rows, expected = [], []
    for _ in range(200):
        d = rng.integers(1, 30, rng.integers(2, 500)).astype(float)
        y = rng.binomial(d.astype(int), rng.beta(2, 3, len(d))).astype(float)
        residuals = y - y.sum() / d.sum() * d
        rows.append(user_sums(y, d))
        expected.append((residuals**2).mean() / (len(d) * d.mean() ** 2))
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    sql = SqlProject().macro("delta_method_variance", "y", "d", "yy", "dd", "yd")
    assert evaluate(sql, **columns) == pytest.approx(expected, rel=1e-9)


def test_delta_method_variance_is_the_variance() -> None:
    """Of the ratio over many samples of users who differ in activity and in taste."""
    rng = np.random.default_rng(3)
    repeats, users = 4000, 300
    d = 1 + rng.poisson(rng.lognormal(0.5, 1, (repeats, users)))
    y = rng.binomial(d, rng.beta(2, 3, (repeats, users)))
    ratios = y.sum(axis=1) / d.sum(axis=1)
    sql = SqlProject().macro("delta_method_variance", "y", "d", "yy", "dd", "yd")
    columns = {
        "y": y.sum(axis=1),
        "d": d.sum(axis=1),
        "yy": (y * y).sum(axis=1),
        "dd": (d * d).sum(axis=1),
        "yd": (y * d).sum(axis=1),
    }
    variances = evaluate(sql, **{name: v.astype(float) for name, v in columns.items()})
    # the variance of a sample variance of normals is 2 sigma^4 / (n - 1)
    assert variances.mean() / ratios.var(ddof=1) == pytest.approx(1, abs=4 * math.sqrt(2 / repeats))


def test_no_users_have_no_variance() -> None:
    sql = SqlProject().macro("delta_method_variance", "y", "d", "yy", "dd", "yd")
    nothing = pa.array([None, 0.0], pa.float64())
    found = evaluate(sql, y=nothing, d=nothing, yy=nothing, dd=nothing, yd=nothing)
    assert np.isnan(found).all()


def growthbook_halfwidth(se: float, n: float, alpha: float, n_star: float) -> float:
    """The half-width in the form it was published in: by the variance scaled up to n users."""
    rho = math.sqrt((-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / n_star)
    scaled = se**2 * n
    return math.sqrt(scaled) * math.sqrt(
        2 * (n * rho**2 + 1) / (n**2 * rho**2) * math.log(math.sqrt(n * rho**2 + 1) / alpha)
    )


def mixture_e_value(z: float, n: float, alpha: float, n_star: float) -> float:
    """The likelihood ratio of a normal mean, integrated over its prior numerically."""
    rho = math.sqrt((-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / n_star)

    def integrand(effect: float) -> float:
        likelihood = math.exp(effect * z * math.sqrt(n) - effect**2 * n / 2)
        return likelihood * stats.norm.pdf(effect, scale=rho)

    centre, width = z / math.sqrt(n), 12 / math.sqrt(n)
    value, _ = integrate.quad(
        integrand, centre - width, centre + width, epsabs=0, epsrel=1e-11, limit=400
    )
    return value


CASES = [
    (0.03, 0.01, 5000.0),
    (0.0, 0.01, 300.0),
    (-0.05, 0.02, 22_619.0),
    (0.02, 0.005, 100_000.0),
    (-0.01, 0.004, 60.0),
]


def test_confidence_sequence_and_e_value_are_the_published_ones() -> None:
    project = SqlProject()
    delta, se, n = (np.array(column) for column in zip(*CASES, strict=True))
    columns = {"delta": delta, "se": se, "n": n}
    for alpha in (0.05, 0.025):
        halfwidth = project.macro("confidence_sequence_halfwidth", "se", "n", alpha, PLANNED_USERS)
        expected = [growthbook_halfwidth(s, k, alpha, PLANNED_USERS) for _, s, k in CASES]
        assert evaluate(halfwidth, **columns) == pytest.approx(expected, rel=1e-9)
        e_value = project.macro("e_value", "delta", "se", "n", alpha, PLANNED_USERS)
        expected = [mixture_e_value(x / s, k, alpha, PLANNED_USERS) for x, s, k in CASES]
        assert evaluate(e_value, **columns) == pytest.approx(expected, rel=1e-6)
        edge = evaluate(f"({halfwidth})", **columns)
        at_the_edge = evaluate(e_value, delta=edge, se=se, n=n)
        assert at_the_edge == pytest.approx(1 / alpha, rel=1e-9)


def compared(model: str, connection: duckdb.DuckDBPyConnection, **variables: Any) -> dict[str, Any]:
    """The only row of d1 in a model that is built from the tables there."""
    SqlProject(**variables).build(connection, model)
    (row,) = (
        connection.sql(f"select * from {model} where deployment_id = 'd1'")
        .to_arrow_table()
        .to_pylist()
    )
    return row


@pytest.mark.parametrize(("ramp", "alpha"), [(0, 0.02), (0.5, 0.01)])
def test_goals_and_shares_divide_the_error(ramp: float, alpha: float) -> None:
    """Two goals have half of it each and, where the share may be raised, a quarter.

    Four users an arm, two clicks against none: a variance of 5/64.
    """
    connection = duckdb.connect()
    connection.execute(
        """
        create table fct_canary_metrics as
        select 'd1' as deployment_id, 1 as look, date '2026-03-02' as look_date, variant,
            'ctr' as metric, 4 as n_users, y as sum_y, 4 as sum_d, y as sum_yy, 4 as sum_dd,
            y as sum_yd, y / 4 as value
        from (values ('champion', 2), ('canary', 0)) as arms (variant, y)
        """
    )
    row = compared(
        "int_canary_looks__compared",
        connection,
        canary_alpha=0.04,
        canary_planned_users=100,
        canary_ramp_share=ramp,
    )
    assert (row["alpha"], row["delta"]) == (pytest.approx(alpha), -0.5)
    halfwidth = growthbook_halfwidth(math.sqrt(5 / 64), 8, alpha, 100)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((-0.5 - halfwidth, -0.5 + halfwidth))
    assert row["e_value"] == pytest.approx(
        mixture_e_value(-0.5 / math.sqrt(5 / 64), 8, alpha, 100), rel=1e-6
    )


def test_clicks_per_search_are_those_of_a_deployments_arms() -> None:
    """u1 and u2 are the champion's in d1 and the canary's in d2. In d1 they click 0 and 2 times in
    two searches each, u3 and u4 once and three times: 0.5 and 1.0. Relative to the champion's rate
    the variance is (2 / 16 + 2^2 * 2 / 16) / 0.5^2 = 2.5, more than alike users would give.
    """
    connection = duckdb.connect()
    clicks = {"u1": (0, 0), "u2": (2, 0), "u3": (0, 1), "u4": (3, 0)}
    arms = {
        "d1": {"u1": "champion", "u2": "champion", "u3": "canary", "u4": "canary"},
        "d2": {"u1": "canary", "u2": "canary", "u3": "champion"},
    }
    served = [
        (deployment, user, f"{deployment}-{user}-{place}", n)
        for deployment, users in arms.items()
        for user in users
        for place, n in enumerate(clicks[user])
    ]
    for name, columns, rows in (
        (
            "int_canary_searches__served",
            "deployment_id varchar, user_id varchar, search_id varchar",
            [row[:3] for row in served],
        ),
        (
            "fct_searches",
            "search_id varchar, n_clicks integer",
            [*(row[2:] for row in served), ("unserved", 9)],
        ),
        (
            "int_canary_users__exposed",
            "deployment_id varchar, user_id varchar, assigned_variant varchar",
            [(d, user, arm) for d, users in arms.items() for user, arm in users.items()],
        ),
    ):
        fill(connection, name, columns, rows)
    variables = {"confidence_level": 0.9, "canary_planned_users": 100}
    SqlProject().build(connection, "int_canary_users__clicked")
    row = compared("int_canary_clicks__compared", connection, **variables)
    halfwidth = growthbook_halfwidth(math.sqrt(2.5), 4, 1 - 0.9, 100)
    assert row == pytest.approx(
        {
            "deployment_id": "d1",
            "n_champion_users": 2,
            "n_canary_users": 2,
            "n_searches": 8,
            "champion_clicks": 0.5,
            "canary_clicks": 1.0,
            "relative_delta": 1.0,
            "ci_low": 1 - halfwidth,
            "ci_high": 1 + halfwidth,
        }
    )


def test_e_value_of_nothing_is_nothing() -> None:
    sql = SqlProject().macro("e_value", "delta", "se", "n", 0.05, 5000)
    delta = pa.array([None, 0.1, 0.1, 0.1], pa.float64())
    se = pa.array([0.1, None, 0.0, 0.0001], pa.float64())
    found = evaluate(sql, delta=delta, se=se, n=[100.0] * 4)
    assert np.isnan(found[:3]).all()
    assert 1e300 < found[3] < math.inf


def test_srm_bayes_factor_is_the_product_of_its_predictions() -> None:
    """User by user: the chance the updated prior gave the arm, over the planned share."""
    rng = np.random.default_rng(4)
    sql = SqlProject().macro("srm_log_bayes_factor", "champion", "canary", "share")
    rows, expected = [], []
    for share, actual in ((0.05, 0.05), (0.05, 0.1), (0.5, 0.45), (0.0001, 0.0), (0.2, 0.0)):
        arms = rng.random(3000) < actual
        counts = np.array([10_000 * (1 - share), 10_000 * share])
        total = 0.0
        for is_canary in arms:
            arm = int(is_canary)
            total += math.log(counts[arm] / counts.sum() / (share if arm else 1 - share))
            counts[arm] += 1
        rows.append((float(len(arms) - arms.sum()), float(arms.sum()), share))
        expected.append(total)
    champion, canary, shares = (list(column) for column in zip(*rows, strict=True))
    found = evaluate(sql, champion=champion, canary=canary, share=shares)
    assert found == pytest.approx(expected, abs=1e-8)
    closed = [
        special.gammaln(10_000)
        - special.gammaln(10_000 * (1 - p))
        - special.gammaln(10_000 * p)
        + special.gammaln(10_000 * (1 - p) + a)
        + special.gammaln(10_000 * p + b)
        - special.gammaln(10_000 + a + b)
        - a * math.log(1 - p)
        - b * math.log(p)
        for a, b, p in rows
    ]
    assert found == pytest.approx(closed, abs=1e-9)


def test_stirling_stands_in_for_lgamma() -> None:
    """Spark has no lgamma; its spelling runs on DuckDB too."""
    points = np.concatenate([np.linspace(0.5, 20, 200), np.logspace(1, 8, 200)])
    found = evaluate(SqlProject().macro("spark__ln_gamma", "x"), x=points)
    assert found == pytest.approx(special.gammaln(points), rel=1e-12, abs=1e-12)


# From the log to the sums


def test_counts_equal_a_plain_loop_over_the_log() -> None:
    """A log with mixed and misassigned users, bots, strangers and straddling sessions.

    Half of the bots are such by their name, half by their clicks; visitors stay bots afterwards who
    were either before the deployment.
    """
    rng = np.random.default_rng(5)
    salt, share, n_days = "loop", 0.3, 4
    searches, sessions = [], []
    for number in range(1500):
        user = f"u{rng.integers(250)}"
        started = START + timedelta(hours=float(rng.uniform(-6, 24 * n_days + 6)))
        in_canary = assignment_bucket(salt, user) < 3000
        if rng.random() < 0.05:
            in_canary = not in_canary
        is_bot, success = bool(rng.random() < 0.05), bool(rng.random() < 0.5)
        reasons = [["user_agent", "few_clicks"][number % 2]] if is_bot else []
        sessions.append((f"x{number}", user, started, success, is_bot))
        for place in range(int(rng.integers(1, 4))):
            version = "v2" if in_canary else "v1"
            if rng.random() < 0.03:
                version = "v0"
            meant = in_canary if rng.random() > 0.01 else not in_canary
            variant = [None, "canary" if meant else "champion"][int(rng.integers(2))]
            moment = started + timedelta(minutes=20 * place)
            clicks = int(rng.poisson(0.6))
            names = (f"s{number}-{place}", f"x{number}", user)
            searches.append((*names, moment, variant, version, is_bot, clicks, reasons))
    end = START + timedelta(days=n_days)
    connection = duckdb.connect()
    fill(
        connection,
        "deployments",
        INPUTS["deployments"],
        [("d", "v1", "v2", salt, share, START, end)],
    )
    fill(connection, "fct_searches", INPUTS["fct_searches"], searches)
    fill(connection, "fct_sessions", INPUTS["fct_sessions"], sessions)
    project = SqlProject()
    project.build(connection, *COUNTING, *DECIDING)

    started_at = {s[0]: s[2] for s in sessions}
    succeeded = {s[0]: s[3] for s in sessions}
    known = {s[2] for s in searches if s[3] < START and s[6]}
    served = [
        s
        for s in searches
        if START <= s[3] < end
        and s[5] in ("v1", "v2")
        and s[2] not in known
        and "user_agent" not in s[8]
    ]
    assert known
    assert any(s[6] for s in served)
    found = {
        (look_date, variant, metric): tuple(sums)
        for look_date, variant, metric, *sums in connection.sql(
            "select look_date, variant, metric, n_users, sum_y, sum_d, sum_yy, sum_dd, sum_yd "
            "from fct_canary_metrics"
        ).fetchall()
    }

    def due_of(user: str) -> str:
        return "canary" if assignment_bucket(salt, user) < 3000 else "champion"

    n_mixed = n_wrong = 0
    for day in range(n_days):
        look_date = START.date() + timedelta(days=day)
        so_far = [s for s in served if s[3].date() <= look_date]
        arms: dict[str, set[str]] = defaultdict(set)
        wrong = set()
        for _, _, user, _, variant, version, *_ in so_far:
            arm = "canary" if version == "v2" else "champion"
            arms[user].add(arm)
            due = due_of(user)
            if arm != due or variant not in (None, due):
                wrong.add(user)
        n_mixed = sum(len(seen) == 2 for seen in arms.values())
        n_wrong = len(wrong)
        for arm in ("champion", "canary"):
            per_user: dict[str, dict[str, list[float]]] = {
                "ctr": defaultdict(lambda: [0, 0]),
                "session_success": defaultdict(lambda: [0, 0]),
            }
            counted = set()
            for _, session, user, _, _, _, _, clicks, _ in so_far:
                if due_of(user) != arm:
                    continue
                per_user["ctr"][user][0] += clicks > 0
                per_user["ctr"][user][1] += 1
                if session not in counted and started_at[session] >= START:
                    counted.add(session)
                    per_user["session_success"][user][0] += succeeded[session]
                    per_user["session_success"][user][1] += 1
            for metric, users in per_user.items():
                pairs = np.array(list(users.values()), dtype=float).reshape(-1, 2)
                expected = (len(users), *user_sums(pairs[:, 0], pairs[:, 1]).values())
                assert found[look_date, arm, metric] == expected, (day, arm, metric)
    assert n_mixed > 5
    assert n_wrong > n_mixed
    last = connection.sql(
        "select n_mixed_users, n_misassigned_users from fct_canary_decisions "
        "order by look desc limit 1"
    ).fetchall()
    assert last == [(n_mixed, n_wrong)]


def test_no_deployment_gives_empty_typed_tables() -> None:
    connection = duckdb.connect()
    for name, columns in INPUTS.items():
        fill(connection, name, columns, [])
    SqlProject().build(connection, *COUNTING, *DECIDING)
    for name in (*COUNTING, *DECIDING):
        assert connection.sql(f"select count(*) from {name}").fetchall() == [(0,)]


# From the sums to the decision


def rule_of(**variables: Any) -> dict[str, str]:
    """SQL of the models that decide."""
    project = SqlProject(
        **{"canary_alpha": ALPHA, "canary_planned_users": PLANNED_USERS} | variables
    )
    return {name: project.model(name) for name in bench_canary.RULE}


def decide(scenario: Scenario, repeats: int, *, seed: int, **variables: Any) -> list[tuple]:
    """Decision, look and metric of every simulated canary that the SQL decided."""
    return list(bench_canary.replay(scenario, repeats, seed, rule_of(**variables)).decisions)


def share_of(decisions: list[tuple[str, int, str]], *kinds: str) -> float:
    """Share of deployments that ended in one of the decisions."""
    return sum(decision in kinds for decision, _, _ in decisions) / len(decisions)


LONGER = ("few non-clicks", "tastes far apart")
NOTHING_CHANGES = [
    Scenario("few clicks", 0.05),
    Scenario("as most sites", 0.45),
    Scenario("few non-clicks", 0.97),
    Scenario("heavy tail", 0.45, sigma=2.0),
    Scenario("tastes far apart", 0.97, searches=2.0, alike=2.0, sigma=2.0),
]


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(
            scenario,
            id=scenario.name,
            marks=[pytest.mark.slow] if scenario.name in LONGER else [],
        )
        for scenario in NOTHING_CHANGES
    ],
)
def test_a_canary_that_changes_nothing_is_rarely_decided(scenario: Scenario) -> None:
    repeats = 200
    decisions = decide(scenario, repeats, seed=6)
    assert len(decisions) == repeats, "every canary ends by its last day"
    noise = 3 * math.sqrt(ALPHA * (1 - ALPHA) / repeats)
    assert share_of(decisions, "promote", "roll_back") <= ALPHA + noise


RAMP = 0.5


def replay_ramp(repeats: int, *, seed: int, share: float = 0.05, **world: Any) -> Any:
    """Canaries whose share is raised once the SQL calls them safe."""
    scenario = Scenario("raised", 0.45, share=share, ramp=RAMP, **world)
    return bench_canary.replay(scenario, repeats, seed, rule_of(canary_ramp_share=RAMP))


@pytest.mark.slow
def test_a_canary_of_growing_share_that_changes_nothing_is_rarely_decided() -> None:
    repeats = 200
    found = replay_ramp(repeats, seed=16)
    assert found.ramped > 0.8
    noise = 3 * math.sqrt(ALPHA * (1 - ALPHA) / repeats)
    assert found.promoted + found.rolled_back <= ALPHA + noise


@pytest.mark.slow
def test_a_larger_share_finds_gains_and_harm_that_a_small_one_misses() -> None:
    better, fixed = replay_ramp(100, seed=17, lift=0.2), Scenario("fixed", 0.45, lift=0.2)
    assert better.promoted > share_of(decide(fixed, 100, seed=17), "promote") + 0.3
    harmful = replay_ramp(60, seed=18, lift=-0.5, users=6000)
    assert harmful.ramped <= 0.1


def test_the_share_is_raised_without_a_change_before_it() -> None:
    """The sums up to the ramp are those without it, and afterwards begin anew, at the new share."""
    scenario = Scenario("raised", 0.45, users=500, days=4, share=0.2, ramp=RAMP)
    without, raised = (
        bench_canary.simulate(scenario, 2, 19, ramps).to_pylist() for ramps in ({}, {1: 2})
    )
    assert [r for r in raised if r["deployment_id"] == "d0"] == [
        r for r in without if r["deployment_id"] == "d0"
    ]
    assert [r for r in raised if r["deployment_id"] == "d1"] == [
        r for r in without if r["deployment_id"] == "d1" and r["look"] <= 2
    ]
    afresh = [r for r in raised if r["deployment_id"] == "r1" and r["metric"] == "ctr"]
    assert [(r["look"], r["look_date"].day) for r in afresh] == [(1, 4), (1, 4), (2, 5), (2, 5)]
    users = {r["variant"]: r["n_users"] for r in afresh if r["look"] == 2}
    share = users["canary"] / sum(users.values())
    assert share == pytest.approx(RAMP, abs=4 * math.sqrt(0.25 / sum(users.values())))


@pytest.mark.parametrize("lift", [-0.9, 1.0], ids=["worse", "better"])
def test_forty_users_decide_nothing_though_they_differ_widely(lift: float) -> None:
    """Without the minimum most of these canaries would be decided, so this can fail."""
    scenario = Scenario("a small arm", 0.45, users=800, lift=lift, searches=1.0)
    assert share_of(decide(scenario, 200, seed=13), "inconclusive") == 1
    without = decide(scenario, 200, seed=13, canary_min_users=1, canary_min_outcomes=1)
    assert share_of(without, "promote", "roll_back") > 0.5


def test_nothing_is_promoted_on_a_handful_of_clicks() -> None:
    """The canary's users click in a tenth of searches, the champion's a dozen times in all."""
    scenario = Scenario("few", 0.002, users=2200, lift=49.0, searches=0.2, alike=1000)
    few_users = {"canary_min_users": 30}
    assert share_of(decide(scenario, 100, seed=14, **few_users), "promote") <= 0.02
    without = decide(scenario, 100, seed=14, **few_users, canary_min_outcomes=1)
    assert share_of(without, "promote") > 0.2


def test_harm_is_found_in_two_days() -> None:
    """A fifth of the clicks lost, 2,000 users a day on the canary."""
    scenario = next(s for s in bench_canary.HARM if s.ctr == 0.45 and s.days == 2)
    found = bench_canary.replay(scenario, 20, 15, rule_of())
    assert found.canary_users == pytest.approx(2000, rel=0.05)
    assert found.within_two_looks >= 0.95


def test_peeking_with_a_plain_interval_would_have_failed_that_test() -> None:
    """The same simulation can tell a rule that does not hold at every look."""
    rng = np.random.default_rng(7)
    repeats, n_days = 300, 14
    steps = rng.normal(size=(repeats, n_days)).cumsum(axis=1) / np.sqrt(np.arange(1, n_days + 1))
    rate = (np.abs(steps) > 1.96).any(axis=1).mean()
    assert rate > ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / repeats)


def test_a_harmful_canary_is_rolled_back_and_a_good_one_promoted() -> None:
    worse = decide(Scenario("worse", 0.43, share=0.2, lift=-0.3), 40, seed=8)
    better = decide(Scenario("better", 0.43, share=0.2, lift=0.3), 40, seed=9)
    assert share_of(worse, "roll_back") >= 0.9
    assert share_of(worse, "promote") == 0
    assert share_of(better, "promote") >= 0.9
    assert share_of(better, "roll_back") == 0
    assert min(look for decision, look, _ in better if decision == "promote") >= 2


def test_a_canary_that_loses_users_is_never_promoted_on_the_rest() -> None:
    """Half of its users never reach the log; the clicks of the others look splendid."""
    scenario = Scenario("lost", 0.43, users=6000, share=0.2, lift=0.05, loss=0.5)
    decisions = decide(scenario, 20, seed=10)
    assert share_of(decisions, "inconclusive") >= 0.9


def test_a_wrong_split_is_not_forgotten() -> None:
    """The p-value is the smallest so far, and the first look's is the Bayes factor's."""
    connection = duckdb.connect()
    fill(
        connection,
        "deployments",
        "deployment_id varchar, canary_share double, started_at timestamp",
        [("d", 0.5, START)],
    )
    counts = [(1500, 1000), (1500, 1500), (3000, 3000)]
    fill(
        connection,
        "fct_canary_metrics",
        "deployment_id varchar, look integer, look_date date, variant varchar, metric varchar, "
        "n_users bigint",
        [
            ("d", look, START.date() + timedelta(days=look - 1), variant, "ctr", n)
            for look, arms in enumerate(counts, start=1)
            for variant, n in zip(("champion", "canary"), arms, strict=True)
        ],
    )
    fill(
        connection,
        "int_canary_users__exposed",
        "deployment_id varchar, user_id varchar, first_served_at timestamp, "
        "misassigned_date date, mixed_date date",
        [("d", "u", START, None, None)],
    )
    SqlProject().build(connection, "int_canary_looks__verified")
    found = connection.sql(
        "select log_bayes_factor, srm_p from int_canary_looks__verified order by look"
    ).fetchall()
    first = math.exp(-found[0][0])
    assert first < 0.01
    assert found[1][0] < 0, "the second look alone would say that all is well"
    assert [p for _, p in found] == pytest.approx([first] * 3, rel=1e-12)


def test_a_right_split_is_rarely_called_wrong() -> None:
    """Over 2,000 canaries of 14 looks each, by the formula the SQL was held to above."""
    rng = np.random.default_rng(12)
    share, alpha, repeats = 0.05, 0.05, 2000
    canary = rng.binomial(400, share, (repeats, 14)).cumsum(axis=1).astype(float)
    champion = 400.0 * np.arange(1, 15) - canary
    sql = SqlProject().macro("srm_log_bayes_factor", "champion", "canary", share)
    factors = evaluate(sql, champion=champion.ravel(), canary=canary.ravel())
    alarms = (factors.reshape(repeats, 14) > -math.log(alpha)).any(axis=1).mean()
    assert alarms <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / repeats)
