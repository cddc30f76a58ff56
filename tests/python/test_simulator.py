"""The simulator against its own stated truth, read back from the files it writes."""

import datetime as dt
import gzip
import hashlib
import json
import math
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

from flywheel.errors import FlywheelError
from flywheel.serving import Arm, Deployment
from flywheel.simulator import (
    BOT_KINDS,
    DEFAULT_START,
    FLAT_REQUIRED,
    PERSONAS,
    Plan,
    Simulation,
    World,
    page_orders,
    simulate,
    simulate_days,
    to_flat,
    visitors_of,
    write_sample_log,
)

REPOSITORY = Path(__file__).parents[2]
DAYS = 12
# The chance that any one of a handful of true statements fails is below one in ten thousand.
MAX_Z = 4.5


class Reversed:
    """Stands in for a model: the production order upside down."""

    def __init__(self, world: World) -> None:
        self.scores = -world.production_scores.ravel()

    def score_table(self, _table: object) -> np.ndarray:
        return self.scores


@pytest.fixture(scope="module")
def world() -> World:
    return World(seed=7)


@pytest.fixture(scope="module")
def deployment(world: World) -> Deployment:
    return Deployment(
        "d1",
        "pepper",
        champion=Arm("logged", None, 0.8),
        canary=Arm("v1", Reversed(world), 0.2),  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def simulation(
    world: World, deployment: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> Simulation:
    folder = tmp_path_factory.mktemp("simulation") / "log"
    return simulate(world, deployment, out_dir=folder, days=DAYS)


@pytest.fixture(scope="module")
def log(simulation: Simulation, world: World) -> duckdb.DuckDBPyConnection:
    """The files as tables: searches, events, visitors, relevance, impressions of humans."""
    connection = duckdb.connect()
    connection.register("truth", world.truth_table())
    connection.execute(
        f"""
        create table visitors as select * from '{simulation.truth}';
        create table searches as
        select
            query_id, client_id, user_query, query_response_hit_ids as hits,
            cast("timestamp" as timestamp) as searched_at, query_attributes as a,
            regexp_replace(trim(lower(user_query)), ' +', ' ', 'g') as query, kind
        from read_json('{simulation.folder}/ubi_queries_*', format = 'newline_delimited')
        inner join visitors using (client_id);
        create table events as
        select
            * exclude (event_attributes, "timestamp"),
            cast("timestamp" as timestamp) as happened_at,
            event_attributes.object.object_id as doc_id,
            event_attributes.position.ordinal as ordinal,
            event_attributes.dwell_time as dwell_time
        from read_json('{simulation.folder}/ubi_events_*', format = 'newline_delimited');
        create table relevance as select * from truth;
        create table impressions as
        with shown as (
            select
                query_id, query, a.is_randomised, a.variant, a.device,
                unnest(hits) as doc_id, unnest(range(1, len(hits) + 1)) as position
            from searches
            where kind = 'human'
        ),
        clicks as (
            select query_id, doc_id, count(*) as n_events
            from events
            where action_name = 'click'
            group by all
        )
        select
            shown.*, gamma, grade, n_events,
            case when n_events is null then 0 else 1 end as clicked
        from shown
        inner join relevance using (query, doc_id)
        left join clicks using (query_id, doc_id);
        """
    )
    return connection


RANK = "least(position, 11)"  # few page on: their ranks are taken together


def click_z(connection: duckdb.DuckDBPyConnection, chance: str, by: str) -> np.ndarray:
    """z of the clicks against the sum of independent Bernoulli variables, per group."""
    rows = connection.execute(
        f"""
        with cells as (select {by} as g, clicked, {chance} as p from impressions)
        select g, sum(clicked - p) / sqrt(sum(p * (1 - p))), count(*) from cells
        group by g order by g
        """
    ).fetchall()
    assert min(row[2] for row in rows) > 300
    return np.array([row[1] for row in rows])


# The world.


def test_truth_is_the_documented_one(world: World) -> None:
    np.testing.assert_allclose(
        world.true_propensities(4), [1.0, 1 / 2**0.8, 1 / 3**0.8, 1 / 4**0.8]
    )
    assert world.popularity.sum() == pytest.approx(1.0)
    assert (np.diff(world.popularity) < 0).all()
    assert world.gamma.min() >= 0.05
    assert world.gamma.max() <= 0.9
    assert set(np.unique(world.grade)) == {0, 1, 2, 3, 4}
    assert len(set(world.queries.tolist())) == 400
    assert all(len(set(row)) == 25 for row in world.doc_ids.tolist())
    assert 0.85 < len(np.unique(world.doc_ids)) / world.doc_ids.size < 1.0  # some are shared
    best = np.argsort(world.relevance.ravel())
    assert (np.diff(world.grade.ravel()[best]) >= 0).all()
    assert (np.diff(world.gamma.ravel()[best]) > 0).all()


def test_documents_carry_their_own_features_everywhere(world: World) -> None:
    first: dict[str, tuple[float, ...]] = {}
    for doc, row in zip(
        world.doc_ids.ravel().tolist(), world.features.reshape(-1, 12), strict=True
    ):
        of_document = (row[2], row[3], row[6])
        assert first.setdefault(doc, of_document) == of_document


def test_ndcg_equals_a_hand_worked_value() -> None:
    world = World(seed=1, n_queries=1, docs_per_query=3)
    object.__setattr__(world, "grade", np.array([[0, 2, 1]]))
    # 3/log2(2) + 1/log2(3) at best; here 0, 1, 2 are shown: 0 + 3/log2(3) + 1/log2(4).
    ideal = 3.0 + 1.0 / math.log2(3)
    shown = 3.0 / math.log2(3) + 0.5
    assert world.true_ndcg(np.array([[0, 1, 2]])) == pytest.approx(shown / ideal)
    assert world.true_ndcg(np.array([[1, 2, 0]])) == pytest.approx(1.0)
    assert world.true_ndcg(np.array([[0, 1, 2]]), k=1) == 0.0


@pytest.mark.parametrize("seed", [7, 8, 9])
def test_there_is_something_to_learn_and_something_hidden(seed: int) -> None:
    world = World(seed=seed)
    production = world.true_ndcg(world.production_order)
    features = world.true_ndcg(world.order_of(world.learnable))
    assert 0.5 < production < 0.65
    assert 0.85 < features < 0.97
    assert world.true_ndcg(world.order_of(world.relevance)) == pytest.approx(1.0)
    assert world.expected_clicks(world.order_of(world.learnable)) > 1.2 * world.expected_clicks(
        world.production_order
    )


def test_no_single_feature_gives_it_away(world: World) -> None:
    latent = world.relevance.ravel()
    for number in (4, 5):  # visible only together
        rho = stats.spearmanr(world.features[:, :, number].ravel(), latent).statistic
        assert abs(rho) < 0.05
    for number in range(6, 12):
        rho = stats.spearmanr(world.features[:, :, number].ravel(), latent).statistic
        assert abs(rho) < 0.05
    together = np.sign(world.features[:, :, 4]) * world.features[:, :, 5]
    assert stats.spearmanr(together.ravel(), latent).statistic > 0.3


def test_equal_scores_keep_the_production_order(world: World) -> None:
    np.testing.assert_array_equal(world.order_of(np.zeros((400, 25))), world.production_order)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"n_queries": 0}, "n_queries"),
        ({"n_queries": 10**6}, "n_queries"),
        ({"docs_per_query": 1}, "docs_per_query"),
        ({"n_features": 3}, "n_features"),
        ({"alpha": -1.0}, "alpha"),
    ],
)
def test_impossible_worlds_are_refused(change: dict[str, float], word: str) -> None:
    with pytest.raises(FlywheelError, match=word):
        World(**change)  # type: ignore[arg-type]


# Clicks.


def test_clicks_follow_examination_times_attraction(log: duckdb.DuckDBPyConnection) -> None:
    assert np.abs(click_z(log, "gamma * power(position, -0.8)", RANK)).max() < MAX_Z
    assert np.abs(click_z(log, "gamma * power(position, -0.8)", "grade")).max() < MAX_Z
    assert np.abs(click_z(log, "gamma * power(position, -0.8)", "variant")).max() < MAX_Z
    # The test has the power to see an exponent that is off by a tenth.
    assert np.abs(click_z(log, "gamma * power(position, -0.72)", RANK)).max() > MAX_Z


def test_trust_bias_and_mobile_examination(tmp_path: Path) -> None:
    world = World(seed=4, alpha=0.6, alpha_mobile=1.1, trust_bias=0.3)
    path = to_flat(world, output=tmp_path / "flat.parquet", days=8, bot_share=0.0, hard_share=0.1)
    connection = duckdb.connect()
    connection.register("truth", world.truth_table())
    connection.execute(
        f"""
        create table impressions as
        select device, rank, clicked, truth.gamma from '{path}' as flat
        inner join truth
            on truth.query = regexp_replace(trim(lower(flat.query)), ' +', ' ', 'g')
            and truth.doc_id = flat.doc_id
        """
    )
    seen = "power(rank, case device when 'mobile' then -1.1 else -0.6 end)"
    chance = f"{seen} * (gamma + 0.3 / rank * (1 - gamma))"
    by = "device || cast(least(rank, 11) as varchar)"
    assert np.abs(click_z(connection, chance, by)).max() < MAX_Z
    assert np.abs(click_z(connection, f"{seen} * gamma", "least(rank, 11)")).max() > MAX_Z


def test_randomised_pages_are_shuffled_uniformly(world: World, tmp_path: Path) -> None:
    path = to_flat(world, output=tmp_path / "f.parquet", days=4, randomised_share=0.3)
    with duckdb.connect() as connection:
        n, share = connection.execute(
            f"select count(distinct search_id), avg(cast(is_randomised as int)) from '{path}'"
        ).fetchone()
        cells = connection.execute(
            f"""
            select rank, rank_before_swap, count(*) from '{path}' where is_randomised
            group by all order by all
            """
        ).fetchall()
        plain = connection.execute(
            f"""
            select count(rank_before_swap), count(logging_propensity)
            from '{path}' where not is_randomised
            """
        ).fetchone()
    assert abs(share - 0.3) < MAX_Z * math.sqrt(0.3 * 0.7 / n)
    counts = np.array([count for *_, count in cells]).reshape(10, 10)
    expected = counts.sum() / 100
    # A sum of random permutation matrices: (K - 1)/K of Pearson's statistic has (K - 1)^2 df.
    statistic = 0.9 * ((counts - expected) ** 2 / expected).sum()
    assert stats.chi2.sf(statistic, 81) > 1e-4
    assert plain == (0, 0)


def test_pages_show_the_arms_own_order(
    world: World, deployment: Deployment, log: duckdb.DuckDBPyConnection
) -> None:
    numbers = {query: number for number, query in enumerate(world.queries.tolist())}
    orders = {"champion": world.production_order, "canary": world.production_order[:, ::-1]}
    orders_served = page_orders(world, deployment)
    for query, variant, mixed, hits in log.execute(
        "select query, a.variant, a.is_randomised, hits from searches using sample 2000 rows"
    ).fetchall():
        number = numbers[query]
        top = world.doc_ids[number, orders[variant][number, : len(hits)]].tolist()
        assert len(hits) == 10 or not mixed
        assert (sorted(hits) == sorted(top)) if mixed else (hits == top)
    np.testing.assert_array_equal(orders_served["canary"], orders["canary"])


def test_production_jitter_moves_results_but_not_the_canarys(deployment: Deployment) -> None:
    world = World(seed=7, production_jitter=0.5)
    day = next(simulate_days(Plan(world, deployment, randomised_share=0.0), DEFAULT_START, 1))
    settled = (day.shown == world.production_order[day.query, :10]).all(axis=1)
    reversed_top = world.production_order[day.query, ::-1][:, :10]
    assert settled[~day.canary].mean() < 0.1
    assert (day.shown == reversed_top)[day.canary].all()


# The files.


def test_lines_have_the_documented_fields(simulation: Simulation) -> None:
    queries, events = (
        [json.loads(line) for line in path.read_text().splitlines()]
        for path in simulation.files[:2]
    )
    assert len(queries) > 1000
    for row in queries:
        assert set(row) == {
            "application",
            "query_id",
            "client_id",
            "user_query",
            "object_id_field",
            "timestamp",
            "query_response_hit_ids",
            "query_attributes",
        }
        assert set(row["query_attributes"]) == {
            "user_agent",
            "device",
            "ip",
            "variant",
            "model_version",
            "is_randomised",
        }
        assert len(row["query_response_hit_ids"]) in (10, 20, 25)  # one, two, all three pages
        assert dt.datetime.fromisoformat(row["timestamp"]).date() == DEFAULT_START
    known = {row["query_id"]: row for row in queries}
    assert len(known) == len(queries)
    for row in events:
        search = known[row["query_id"]]
        attributes = row["event_attributes"]
        shown = search["query_response_hit_ids"][attributes["position"]["ordinal"] - 1]
        assert attributes["object"] == {"object_id": shown, "object_id_field": "doc_id"}
        assert row["client_id"] == search["client_id"]
        assert row["timestamp"] > search["timestamp"]
        assert row.get("user_id", "") in ("", row["client_id"])
        if row["action_name"] == "page_exit":
            assert attributes["dwell_time"] > 0
        else:
            assert row["action_name"] == "click"
            assert "dwell_time" not in attributes
    for rows in (queries, events):
        times = [row["timestamp"] for row in rows]
        assert times == sorted(times)
    agents = {row["query_attributes"]["user_agent"] for row in queries}
    assert None in agents
    assert len(agents) > 20
    assert {row.get("user_id", "absent")[:1] for row in events} > {"", "a"}


def test_variant_is_the_md5_rule_on_the_logged_visitor(log: duckdb.DuckDBPyConnection) -> None:
    rows = log.execute(
        "select distinct client_id, a.variant, a.model_version from searches"
    ).fetchall()
    for client, variant, version in rows:
        digest = hashlib.md5(b"pepper-" + client.encode()).hexdigest()
        in_canary = int(digest[:8], 16) % 10_000 < 2000
        assert (variant, version) == (("canary", "v1") if in_canary else ("champion", "logged"))
    share = np.mean([variant == "canary" for _, variant, _ in rows])
    assert abs(share - 0.2) < MAX_Z * math.sqrt(0.16 / len(rows))


def test_without_a_canary_no_variant_is_logged(world: World, tmp_path: Path) -> None:
    only = Deployment("d", "s", Arm("v1", Reversed(world), 1.0))  # type: ignore[arg-type]
    for served, expected in ((None, None), (only, "v1")):
        result = simulate(world, served, out_dir=tmp_path / "log", days=1, searches_per_day=50)
        for line in result.files[0].read_text().splitlines():
            attributes = json.loads(line)["query_attributes"]
            assert "variant" not in attributes
            assert attributes.get("model_version") == expected


def test_same_arguments_give_the_same_bytes_in_any_pieces(world: World, tmp_path: Path) -> None:
    def run(name: str, start: str, days: int, seed: int = 1) -> dict[str, bytes]:
        result = simulate(
            world,
            out_dir=tmp_path / name,
            days=days,
            start_date=start,
            seed=seed,
            searches_per_day=300,
        )
        return {file.name: file.read_bytes() for file in result.files}

    whole = run("whole", "2026-02-27", 6)
    assert run("again", "2026-02-27", 6) == whole
    assert run("first", "2026-02-27", 3) | run("second", "2026-03-02", 3) == whole
    other = run("other", "2026-02-27", 6, seed=2)
    assert not any(other[name] == content for name, content in whole.items())


def test_no_two_days_are_alike(world: World) -> None:
    plan = Plan(world, searches_per_day=100)
    dates = ["2026-01-05", "2026-01-06", "2026-02-05", "2027-01-05"]
    days = [next(simulate_days(plan, dt.date.fromisoformat(date), 1)) for date in dates]
    keys = np.concatenate([day.search_key[:, 0] for day in days])
    assert len(np.unique(keys)) == len(keys)


def test_compressed_files_replace_plain_ones(world: World, tmp_path: Path) -> None:
    plain = simulate(world, out_dir=tmp_path / "log", days=1, searches_per_day=50)
    texts = [file.read_bytes() for file in plain.files]
    packed = simulate(world, out_dir=tmp_path / "log", days=1, searches_per_day=50, compress=True)
    assert [gzip.decompress(file.read_bytes()) for file in packed.files] == texts
    assert sorted((tmp_path / "log").iterdir()) == sorted(packed.files)


def test_flat_log_is_the_same_traffic(
    world: World,
    deployment: Deployment,
    log: duckdb.DuckDBPyConnection,
    simulation: Simulation,
    tmp_path: Path,
) -> None:
    path = to_flat(world, deployment, output=tmp_path / "flat.parquet", days=DAYS)
    mismatches, rows, clicks = log.execute(
        f"""
        with flat as (
            select search_id, doc_id, rank, clicked, variant, user_agent
            from '{path}' inner join visitors on client_id = user_id
            where kind = 'human'
        )
        select
            count(*) filter (
                where flat.search_id is null or impressions.query_id is null
                or flat.rank <> position or flat.clicked <> impressions.clicked
                or flat.variant <> impressions.variant
            ),
            count(*), sum(flat.clicked)
        from flat
        full outer join impressions
            on flat.search_id = impressions.query_id and flat.doc_id = impressions.doc_id
        """
    ).fetchone()
    assert mismatches == 0
    assert 10 * simulation.n_human_searches < rows < 10.2 * simulation.n_human_searches
    assert 0 < clicks < simulation.n_human_clicks  # repeated clicks count once
    least = to_flat(world, output=tmp_path / "least.parquet", days=1, columns=())
    with duckdb.connect() as connection:
        columns = [row[0] for row in connection.execute(f"describe from '{least}'").fetchall()]
    assert tuple(columns) == FLAT_REQUIRED
    with pytest.raises(FlywheelError, match="colour"):
        to_flat(world, output=tmp_path / "x.parquet", days=1, columns=["colour"])


# People.


def test_volume_is_as_asked(simulation: Simulation) -> None:
    # A session brings about two searches; its length has a standard deviation of about one.
    expected = 1500 * DAYS
    assert abs(simulation.n_human_searches - expected) < 0.03 * expected
    share = 1 - simulation.n_human_searches / simulation.n_searches
    assert 0.05 < share < 0.10


def test_half_an_hour_of_silence_separates_exactly_the_sessions(world: World) -> None:
    for day in simulate_days(Plan(world), DEFAULT_START, 5):
        search = np.concatenate([np.arange(len(day.query)), day.event_search])
        moment = np.concatenate([day.searched_at, day.event_at])
        person, session = day.visitor[search], day.session[search]
        order = np.lexsort((moment, person))
        order = order[person[order] < world.n_users]
        person, session, moment = person[order], session[order], moment[order]
        same_person = person[1:] == person[:-1]
        is_pause = (np.diff(moment) >= 1_800_000)[same_person]
        is_break = (np.diff(session) != 0)[same_person]
        assert is_break.sum() > 50
        np.testing.assert_array_equal(is_pause, is_break)
        # Nor does the night join two: the first half hour is silent, the last moment is today's.
        midnight = np.datetime64(day.date, "ms").astype(np.int64)
        assert moment.min() >= midnight + 1_800_000
        assert moment.max() < midnight + 86_400_000


def test_satisfied_people_read_longer(log: duckdb.DuckDBPyConnection) -> None:
    rows = log.execute(
        """
        select grade, median(dwell_time), avg(case when dwell_time >= 30 then 1.0 else 0 end)
        from events
        inner join searches using (query_id)
        inner join relevance using (query, doc_id)
        where kind = 'human' and action_name = 'page_exit'
        group by grade order by grade
        """
    ).fetchall()
    sat = [row[2] for row in rows]
    assert sat == sorted(sat)
    assert rows[0][1] < 30 < 60 < rows[4][1] < 80
    exits, clicks = log.execute(
        """
        select count(*) filter (where action_name = 'page_exit'),
            count(distinct query_id || doc_id) filter (where action_name = 'click')
        from events inner join visitors using (client_id) where kind = 'human'
        """
    ).fetchone()
    assert abs(exits / clicks - 0.8) < MAX_Z * math.sqrt(0.16 / clicks)


def test_unsatisfied_people_ask_again(log: duckdb.DuckDBPyConnection) -> None:
    quick, slow = log.execute(
        """
        with pairs as (
            select query_id, query, lead(query) over w as query_after,
                date_diff('second', searched_at, lead(searched_at) over w) as pause
            from searches where kind = 'human'
            window w as (partition by client_id order by searched_at, query_id)
        ),
        clicked as (select distinct query_id from events where action_name = 'click')
        select
            avg(cast(pause < 60 as int)) filter (where clicked.query_id is null),
            avg(cast(pause < 60 as int)) filter (where clicked.query_id is not null)
        from pairs left join clicked using (query_id)
        """
    ).fetchone()
    assert quick > 5 * slow


# Hard people and robots; how well they are told apart stands in test_bots.py.


def _days(log: duckdb.DuckDBPyConnection, of: str) -> list[tuple]:
    """A row a visitor's day of the given persona: searches, texts, clicks, active hours, hits."""
    return log.execute(
        """
        with clicks as (
            select query_id, count(*) as n from events where action_name = 'click' group by all
        )
        select
            count(*), count(distinct query), coalesce(sum(clicks.n), 0),
            count(distinct date_trunc('hour', searched_at)), max(len(hits))
        from searches
        inner join visitors using (client_id)
        left join clicks using (query_id)
        where visitors.persona = ?
        group by client_id, cast(searched_at as date)
        """,
        [of],
    ).fetchall()


def test_each_persona_does_what_it_is_named_for(world: World, tmp_path: Path) -> None:
    result = simulate(world, out_dir=tmp_path / "log", days=8, bot_share=0.3, hard_share=0.2)
    log = duckdb.connect()
    log.execute(
        f"""
        create table visitors as select * from '{result.truth}';
        create table searches as
        select
            query_id, client_id, query_response_hit_ids as hits, query_attributes as a,
            cast("timestamp" as timestamp) as searched_at,
            regexp_replace(trim(lower(user_query)), ' +', ' ', 'g') as query
        from read_json('{result.folder}/ubi_queries_*', format = 'newline_delimited');
        create table events as
        select query_id, action_name, cast("timestamp" as timestamp) as happened_at,
            event_attributes.object.object_id as doc_id
        from read_json('{result.folder}/ubi_events_*', format = 'newline_delimited');
        """
    )
    days = {name: _days(log, name) for name in (*PERSONAS, *BOT_KINDS)}
    assert all(days.values())
    big = [row for row in days["power_user"] if row[0] > 60]
    assert big
    assert any(row[0] >= 100 for row in big)
    assert all(row[2] > 0.3 * row[0] for row in big)  # they find things
    assert any(row[4] > 10 for row in big)  # and page on
    assert any(row[0] >= 6 and row[1] == 1 for row in days["refinder"])
    assert max(row[3] for name in PERSONAS for row in days[name]) < 18  # people sleep
    assert all(row[2] == 0 for row in (*days["crawler"], *days["monitor"]))
    assert all(row[1] <= 3 for row in days["monitor"])
    assert all(row[4] > 10 for row in days["scraper"] if row[0] >= 10)
    assert any(row[3] >= 20 for row in days["slow_regular"])
    facts = dict(
        log.execute(
            """
            select persona, count(distinct a.ip) / count(distinct client_id)
            from searches inner join visitors using (client_id) group by persona
            """
        ).fetchall()
    )
    assert facts["office"] < 0.1 < facts["click_farm"] < 0.3  # many behind one address
    assert facts["ordinary"] > 0.99
    twice = dict(
        log.execute(
            """
            with clicks as (
                select persona, query_id, doc_id, count(*) as n
                from events inner join searches using (query_id)
                inner join visitors using (client_id)
                where action_name = 'click' group by all
            )
            select persona, avg(cast(n > 1 as int)) from clicks group by persona
            """
        ).fetchall()
    )
    assert twice["double_clicker"] > 0.8 > 0.1 > twice["ordinary"]
    nights = dict(
        log.execute(
            """
            select persona, avg(cast(hour(searched_at) < 5 as int))
            from searches inner join visitors using (client_id) group by persona
            """
        ).fetchall()
    )
    assert nights["night_owl"] > 0.5 > 0.2 > nights["ordinary"]
    agents = log.execute(
        """
        select persona, count(a.user_agent), count(*)
        from searches inner join visitors using (client_id) group by persona
        """
    ).fetchall()
    with_agent = {persona: (n, total) for persona, n, total in agents}
    assert with_agent["null_agent"][0] == 0
    assert with_agent["unusual_phone"][0] == with_agent["unusual_phone"][1]
    assert any(0 < with_agent[kind][0] < with_agent[kind][1] for kind in BOT_KINDS)


def test_robots_keep_their_habits_and_hard_days_their_share(world: World) -> None:
    visitors = visitors_of(world)
    monitor = visitors.bots("monitor")
    asked: dict[int, set[int]] = {}
    hard = people = 0
    for day in simulate_days(Plan(world, bot_share=0.5, hard_share=0.2), DEFAULT_START, 12):
        for visitor in np.intersect1d(day.visitor, monitor).tolist():
            asked.setdefault(visitor, set()).update(day.query[day.visitor == visitor].tolist())
        count = np.bincount(day.visitor, minlength=len(visitors.kind))[: world.n_users]
        people += count.sum()
        hard += count[visitors.people("power_user")][
            count[visitors.people("power_user")] > 60
        ].sum()
    assert all(len(queries) <= 3 for queries in asked.values())
    # Seven tenths of the hard fifth are power users' days, of about 110 searches; days are whole.
    assert abs(hard - 0.14 * people) < 0.02 * people


def test_truth_stands_outside_the_log(simulation: Simulation, world: World) -> None:
    assert simulation.folder not in simulation.truth.parents
    visitors = visitors_of(world)
    assert len(set(visitors.client_id.tolist())) == len(visitors.client_id)
    assert (visitors.kind > 0).sum() == 40 * len(BOT_KINDS)
    truth = pq.read_table(simulation.truth)
    humans = np.array(truth["kind"]) == "human"
    np.testing.assert_array_equal(humans, ~np.array(truth["is_bot"]))
    np.testing.assert_array_equal(humans, np.isin(np.array(truth["persona"]), PERSONAS))


def test_robots_can_be_switched_off(world: World, tmp_path: Path) -> None:
    result = simulate(world, out_dir=tmp_path / "log", days=1, bot_share=0.0)
    assert result.n_searches == result.n_human_searches


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"days": 0}, "days"),
        ({"searches_per_day": 0}, "searches"),
        ({"searches_per_day": 10**6}, "searches"),
        ({"randomised_share": 1.2}, "randomised_share"),
        ({"bot_share": 0.95}, "bot_share"),
        ({"hard_share": 0.6}, "hard_share"),
        ({"start_date": "5 January"}, "date"),
    ],
)
def test_impossible_traffic_is_refused(
    world: World, tmp_path: Path, change: dict[str, object], word: str
) -> None:
    arguments = {"out_dir": tmp_path / "log", "days": 1, **change}
    with pytest.raises(FlywheelError, match=word):
        simulate(world, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(1, 2, 1), (2, 3, 5), (40, 15, 250)])
def test_small_worlds_work(shape: tuple[int, int, int], tmp_path: Path) -> None:
    n_queries, docs, users = shape
    world = World(seed=2, n_queries=n_queries, docs_per_query=docs, n_users=users)
    result = simulate(world, out_dir=tmp_path / "log", days=3, searches_per_day=users)
    assert result.n_human_searches > 0


# The shipped sample.


def test_shipped_sample_is_what_the_code_writes(tmp_path: Path) -> None:
    shipped = REPOSITORY / "seeds" / "sample_log"
    for file in write_sample_log(tmp_path):
        if file.suffix == ".gz":
            assert gzip.decompress(file.read_bytes()) == gzip.decompress(
                (shipped / file.name).read_bytes()
            )
        else:
            with duckdb.connect() as connection:
                ours, theirs = (
                    connection.execute(f"from '{folder / file.name}'").fetchall()
                    for folder in (tmp_path, shipped)
                )
            assert ours == theirs
    assert sum(file.stat().st_size for file in shipped.iterdir()) < 900_000


def test_shipped_sample_has_clicks_robots_and_randomised_pages() -> None:
    from flywheel.simulator import sample_plan
    from flywheel.simulator.sample import SAMPLE_DAYS

    plan = sample_plan()
    kinds = visitors_of(plan.world).kind
    days = list(simulate_days(plan, DEFAULT_START, SAMPLE_DAYS))
    seen = np.concatenate([kinds[day.visitor] for day in days])
    assert set(seen.tolist()) == set(range(1 + len(BOT_KINDS)))
    clickers = np.concatenate(
        [kinds[day.visitor[day.event_search[day.event_kind == 0]]] for day in days]
    )
    assert (clickers == 0).sum() >= 1000
    mixed = np.concatenate([day.is_randomised for day in days])
    assert abs(mixed.mean() - 0.15) < MAX_Z * math.sqrt(0.15 * 0.85 / len(mixed))
