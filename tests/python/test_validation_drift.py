"""Drift between two windows: found where it was planted, and nowhere else."""

import hashlib
import math
import shutil

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from drift_worlds import (
    CLICK_RATES,
    COVERAGE,
    DWELL_SHARES,
    Judge,
    World,
    at_distance,
    cells,
    hellinger,
)
from flywheel.settings import Settings
from flywheel.validation import ValidationReport, validate
from flywheel.validation.suites import SUITES
from sql_project import SqlProject
from validation_fixtures import build_drift, build_warehouse, change, copy_of

LIMITS = {
    "click_rate_by_rank": 0.08,
    "bot_share": 0.05,
    "dwell": 0.1,
    "rank_coverage": 0.1,
}
MEASURES = sorted(LIMITS)
SHORT_STAYS = np.array([0.30, 0.30, 0.20, 0.10, 0.05, 0.05])
SHALLOW = np.array([*[0.19] * 5, *[0.01] * 5, 0.0])


def drifted(measure: str, times_limit: float) -> World:
    """The world whose true distance from the usual one is a multiple of the measure's limit."""
    target = times_limit * LIMITS[measure]
    if measure == "click_rate_by_rank":
        clicks = CLICK_RATES * COVERAGE
        fall = at_distance(lambda s: hellinger(clicks, clicks * (1 - s)), target)
        return World(click_rates=CLICK_RATES * (1 - fall))
    if measure == "bot_share":
        usual = np.array([0.05, 0.95])
        more = at_distance(lambda s: hellinger(usual, usual + 0.9 * s * np.array([1, -1])), target)
        return World(bot_share=0.05 + 0.9 * more)
    usual, other = (DWELL_SHARES, SHORT_STAYS) if measure == "dwell" else (COVERAGE, SHALLOW)
    part = at_distance(lambda s: hellinger(usual, (1 - s) * usual + s * other), target)
    mixed = (1 - part) * usual + part * other
    return World(dwells=mixed) if measure == "dwell" else World(coverage=mixed)


@pytest.mark.slow
def test_two_windows_of_one_world_raise_no_alarm():
    """Nothing changed, so the chance of an alarm is far below drift_alpha = 1 %.

    At least 380 verdicts; were the chance 1 %, none at all would have probability 0.022.
    """
    judge, rng, usual = Judge(), np.random.default_rng(1), World()
    verdicts = 0
    for visitors in (200, 400):
        for _ in range(50):
            found = judge(cells(rng, usual, usual, visitors))
            assert [m for m in MEASURES if found[m]["is_drift"]] == []
            verdicts += sum(row["is_enough_data"] for row in found.values())
    assert verdicts >= 380


@pytest.mark.slow
def test_a_drift_of_just_the_limit_is_an_alarm_as_rarely_as_alpha_says():
    """60 draws at the limit and 1 %: more than three alarms have probability 0.003."""
    judge, rng = Judge(), np.random.default_rng(2)
    after = World(
        drifted("click_rate_by_rank", 1).click_rates,
        drifted("bot_share", 1).bot_share,
        drifted("dwell", 1).dwells,
        drifted("rank_coverage", 1).coverage,
    )
    alarms = dict.fromkeys(MEASURES, 0)
    distances = {measure: [] for measure in MEASURES}
    for _ in range(60):
        found = judge(cells(rng, World(), after, 500))
        for measure in MEASURES:
            alarms[measure] += found[measure]["is_drift"]
            distances[measure].append(found[measure]["distance"])
    assert max(alarms.values()) <= 3, alarms
    for measure, values in distances.items():
        # The bias is taken out of the square: the distances lie about the truth, not above it.
        typical = np.sqrt(np.mean(np.square(values)))
        assert typical == pytest.approx(LIMITS[measure], rel=0.15), measure


@pytest.mark.parametrize("measure", MEASURES)
def test_a_planted_drift_is_found_and_no_other(measure):
    """Twice the limit and 3,000 visitors: a drift of that size stands out of the noise."""
    judge, rng = Judge(), np.random.default_rng(3)
    for _ in range(5):
        found = judge(cells(rng, World(), drifted(measure, 2), 3_000))
        assert [m for m in MEASURES if found[m]["is_drift"]] == [measure]
        assert found[measure]["distance"] == pytest.approx(2 * LIMITS[measure], rel=0.35)
        assert found[measure]["distance_low"] > LIMITS[measure]


def test_ten_million_rows_do_not_make_a_small_difference_an_alarm():
    """A fall of 3 % in all click rates is certain at this size (z = 25), and no drift."""
    rng, judge = np.random.default_rng(4), Judge()
    after = World(click_rates=CLICK_RATES * 0.97)
    rows = cells(rng, World(), after, 3_000)
    scaled = rows.to_pydict()
    for name in ("n_previous", "n_current", "n_previous_clicks", "n_current_clicks"):
        scaled[name] = [200 * value for value in scaled[name]]
    found = judge(pa.table(scaled, schema=rows.schema))["click_rate_by_rank"]
    shown = sum(
        n
        for n, measure in zip(scaled["n_current"], scaled["measure"], strict=True)
        if measure == "rank_coverage"
    )
    assert shown > 10_000_000
    assert not found["is_drift"]
    assert found["distance"] < 0.03


def test_clicks_that_stop_are_the_gravest_drift():
    rng = np.random.default_rng(5)
    found = Judge()(cells(rng, World(), World(click_rates=0 * CLICK_RATES), 500))
    clicks = found["click_rate_by_rank"]
    assert clicks["is_drift"]
    # Nothing in common with before: sqrt(sum(m) / sum(m)).
    assert clicks["distance"] == pytest.approx(1)
    assert clicks["n_current"] == 0
    assert found["dwell"]["finding"].startswith("not enough data: 0 clicked documents, ")
    assert not found["dwell"]["is_drift"]


@pytest.mark.parametrize(
    ("visitors", "complaint"),
    [(30, "too few visitors for an error"), (3, " visitor-days, ")],
)
def test_a_small_log_is_not_judged(visitors, complaint):
    found = Judge(drift_min_units=40)(cells(np.random.default_rng(6), World(), World(), visitors))
    bots = found["bot_share"]
    assert (bots["is_enough_data"], bots["is_drift"], bots["distance"]) == (False, False, None)
    assert bots["finding"].startswith("not enough data: ")
    assert complaint in bots["finding"]


# --- from the public tables ------------------------------------------------------------------


def write_log(connection: duckdb.DuckDBPyConnection, change_of: str | None = None) -> None:
    """Fourteen days of 400 visitors, one search of ten documents a day; one thing may change.

    The tables replace those of the clean warehouse. All drift starts on 8 January.
    """
    later = "searched_at >= timestamp '2026-01-08'"
    rate = "0.3 / rank"
    if change_of == "click_rate_by_rank":
        rate = f"case when {later} then 0.1 else 0.3 end / rank"
    bots = "20"
    if change_of == "bot_share":
        bots = f"case when {later} then 80 else 20 end"
    shown = "10"
    if change_of == "rank_coverage":
        shown = f"case when {later} then 5 else 10 end"
    dwell = "2 * power(64, chance)"
    if change_of == "dwell":
        dwell = f"case when {later} then 16 else 2 end * power(64, chance)"

    def chance(text: str) -> str:
        return f"cast('0x' || substr(md5({text}), 1, 8) as bigint) / 4294967296.0"

    connection.execute(
        f"""
        create or replace table main.fct_searches as
        with visits as (
            select
                visitor,
                timestamp '2026-01-01 09:00' + to_days(cast(day as integer)) as searched_at
            from range(400) as visitors (visitor)
            cross join range(14) as days (day)
        )
        select
            'v' || visitor || '-' || strftime(searched_at, '%d') as search_id,
            'v' || visitor || '-' || strftime(searched_at, '%d') as session_id,
            'v' || visitor as user_id,
            searched_at,
            'q' as query,
            'q' as normalized_query,
            visitor < {bots} as is_bot,
            case when visitor < {bots} then ['user_agent'] else cast([] as varchar[]) end
                as bot_reasons,
            {shown} as n_shown,
            0 as n_clicks,
            false as is_abandoned
        from visits;

        create or replace table main.fct_impressions as
        with shown as (
            select
                searches.*,
                rank,
                {chance("search_id || '-click-' || rank")} as luck,
                {chance("search_id || '-dwell-' || rank")} as chance
            from main.fct_searches as searches
            cross join range(1, 11) as ranks (rank)
            where not is_bot and rank <= n_shown
        )
        select
            search_id,
            'd' || rank as doc_id,
            user_id,
            searched_at,
            cast(rank as integer) as rank,
            cast(luck < {rate} as integer) as clicked,
            case when luck < {rate} then {dwell} end as dwell_seconds
        from shown;
        """
    )


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    path = tmp_path_factory.mktemp("clean") / "warehouse.duckdb"
    build_warehouse(path)
    return path


@pytest.fixture
def settings(clean, tmp_path) -> Settings:
    return copy_of(clean, tmp_path)


def measured(
    settings: Settings, change_of: str | None = None, *, also: str = "", **variables
) -> dict[str, dict]:
    """The rows of int_drift_measures over the log, after `also` has changed it."""
    with duckdb.connect(str(settings.database)) as connection:
        write_log(connection, change_of)
        connection.execute(also)
        build_drift(connection, **variables)
        cursor = connection.execute("select * from main_intermediate.int_drift_measures")
        names = [column[0] for column in cursor.description]
        return {row[0]: dict(zip(names, row, strict=True)) for row in cursor.fetchall()}


@pytest.mark.parametrize("planted", [None, *MEASURES])
def test_drift_of_the_public_tables_is_named(planted, settings):
    found = measured(settings, planted)
    assert sorted(found) == MEASURES
    assert [m for m in MEASURES if found[m]["is_drift"]] == ([planted] if planted else [])
    assert all(row["is_enough_data"] for row in found.values())
    if planted == "bot_share":
        # Visitor-days: 20 of 400, then 80 of 400.
        row = found["bot_share"]
        assert (row["cell"], row["previous_value"], row["current_value"]) == ("bot", 0.05, 0.2)
        exact = hellinger(np.array([0.05, 0.95]), np.array([0.2, 0.8]))
        assert row["distance"] == pytest.approx(exact, abs=0.02)


def test_sql_agrees_with_the_definition(settings):
    """The click-rate distance and its bound, from the impressions, in numpy."""
    # Deep ranks are shown less often, and less often still in the newest window.
    scarce = (
        "delete from main.fct_impressions where rank > 5 and md5(search_id) < "
        "case when searched_at >= timestamp '2026-01-08' then 'c' else '6' end"
    )
    found = measured(settings, "click_rate_by_rank", also=scarce)["click_rate_by_rank"]
    with duckdb.connect(str(settings.database), read_only=True) as connection:
        rows = connection.execute(
            "select user_id, searched_at >= timestamp '2026-01-08', rank, clicked "
            "from main.fct_impressions"
        ).fetchall()
    group_of = {
        user: int(int(hashlib.md5(f"jackknife-{user}".encode()).hexdigest()[:13], 16) / 2**52 * 20)
        for user in {row[0] for row in rows}
    }
    counts = np.zeros((20, 2, 2, 10))
    for user, is_current, rank, clicked in rows:
        counts[group_of[user], int(is_current), 0, rank - 1] += 1
        counts[group_of[user], int(is_current), 1, rank - 1] += clicked

    def squared(kept: np.ndarray) -> float:
        shown, clicks = kept[:, 0], kept[:, 1]
        exposure = shown.sum(axis=0) / shown.sum()
        return hellinger(exposure * clicks[0] / shown[0], exposure * clicks[1] / shown[1]) ** 2

    whole = counts.sum(axis=0)
    left_out = np.array([squared(whole - counts[group]) for group in range(20)])
    corrected = 20 * squared(whole) - 19 * left_out.mean()
    error = math.sqrt(19 / 20 * ((left_out - left_out.mean()) ** 2).sum())
    # Student's t with 19 degrees of freedom, 99 %: 2.5395 in any table.
    low = math.sqrt(corrected - 2.5395 * error)
    assert found["distance"] == pytest.approx(math.sqrt(corrected), abs=1e-6)
    assert found["distance_low"] == pytest.approx(low, abs=1e-4)
    assert found["n_previous"] == whole[0, 1].sum()
    assert found["n_current"] == whole[1, 1].sum()


def test_as_of_moves_the_windows(settings):
    """Seen on the 14th, the newest window starts on the 7th; no first window of whole days."""
    found = measured(settings, "bot_share", as_of="2026-01-14")
    assert {row["is_enough_data"] for row in found.values()} == {False}
    assert found["dwell"]["finding"] == (
        "not enough data: the log is shorter than two windows of 7 days"
    )
    shorter = measured(settings, "bot_share", as_of="2026-01-10", drift_window_days=2)
    # 6 and 7 January against 8 and 9 January.
    assert shorter["bot_share"]["is_drift"]
    assert shorter["bot_share"]["n_previous"] == 800


def drift_only(settings: Settings) -> ValidationReport:
    """The drift suite by itself."""
    folder = settings.project / "suites"
    folder.mkdir(exist_ok=True)
    shutil.copy(SUITES / "int_drift_measures.yml", folder)
    return validate(settings, gates=["behavior"], suites_folder=folder)


def test_drift_warns_and_is_kept(settings):
    quiet = drift_only(settings)
    assert [result.status for result in quiet.results] == ["not_enough_data"] * 4
    assert quiet.success
    measured(settings, "bot_share")
    report = drift_only(settings)
    assert report.success
    (warning,) = report.warnings
    assert warning.column == "is_bot"
    assert warning.observed.startswith("distance 0.1")
    assert warning.observed.endswith("limit 0.050), most at bot: 0.2000, before 0.0500")
    assert warning.observed in report.data_docs.read_text()
    with duckdb.connect(str(settings.database), read_only=True) as connection:
        kept = connection.execute(
            "select status, count(*), max(observed_value) from flywheel_state.validation_results "
            "group by status order by status"
        ).fetchall()
    assert [row[:2] for row in kept] == [("not_enough_data", 4), ("pass", 3), ("warn", 1)]
    assert kept[2][2] == warning.observed_value > 0.1


def test_a_measure_that_the_model_lacks_fails(settings):
    change(settings, "delete from main_intermediate.int_drift_measures where measure = 'dwell'")
    (warning,) = drift_only(settings).warnings
    assert warning.observed == "no such measure"


def test_bands_cover_every_rank_and_dwell():
    project = SqlProject()
    ranks = duckdb.sql(
        f"select string_agg(distinct {project.macro('rank_band', 'rank')}, ', ') as bands, "
        "count(*) as n from (values (1), (10), (11), (20), (21), (50), (51), (100), (101), (1000)) "
        "as ranks (rank)"
    ).fetchall()
    assert set(ranks[0][0].split(", ")) == {
        "rank 1",
        "rank 10",
        "ranks 11 to 20",
        "ranks 21 to 50",
        "ranks 51 to 100",
        "ranks above 100",
    }
    dwells = duckdb.sql(
        f"select dwell, {project.macro('dwell_band', 'dwell')} from (values (null), (0), (1.9), "
        "(2), (3.9), (4), (4095.9), (4096), (86400)) as dwells (dwell)"
    ).fetchall()
    assert [band for _, band in dwells] == [
        "unknown",
        "below 2 s",
        "below 2 s",
        "2 to 4 s",
        "2 to 4 s",
        "4 to 8 s",
        "2048 to 4096 s",
        "from 4096 s",
        "from 4096 s",
    ]
