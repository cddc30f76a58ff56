"""The HTML report against a warehouse whose every number is known."""

import json
import math
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pytest
import yaml
from markupsafe import Markup
from matplotlib.figure import Figure

from flywheel.errors import FlywheelError
from flywheel.report import charts, sections, words, write_curve_picture, write_report
from flywheel.report.charts import WIDE, Layout
from flywheel.settings import Settings
from sql_project import PROJECT, SqlProject

SECTIONS = [
    "summary", "input", "bots", "curve", "weights", "offline", "canary", "turns", "models",
]  # fmt: skip

# The columns of the contract, with the names and types the models give them.
SCHEMA = {
    "fct_searches": "search_id varchar, session_id varchar, user_id varchar, searched_at timestamp,"
    " query varchar, is_bot boolean, bot_reasons varchar[], n_shown integer, n_clicks integer",
    "fct_sessions": "session_id varchar, user_id varchar, is_bot boolean, bot_reasons varchar[]",
    "fct_impressions": "search_id varchar, doc_id varchar, query varchar, rank integer,"
    " clicked integer, propensity_context varchar",
    "fct_input_reconciliation": "source varchar, source_file varchar, n_rows bigint, n_used bigint,"
    " n_merged bigint, n_quarantined bigint",
    "fct_quarantined_rows": "quarantine_id varchar, source varchar, source_file varchar,"
    " row_number bigint, reason varchar, payload varchar, search_id varchar",
    "fct_position_propensities": "estimator varchar, context varchar, rank integer,"
    " propensity double, ci_low double, ci_high double, std_error_log double,"
    " n_impressions bigint, n_clicks bigint, is_identified boolean, is_active boolean",
    "fct_propensity_diagnostics": "estimator varchar, context varchar, is_active boolean,"
    " n_clicks bigint, effective_sample_size double, max_weight_share double,"
    " clipped_share double, alpha double, alpha_std_error double, n_connected_components integer,"
    " trust_bias_p double, choice_reason varchar, estimator_words varchar, is_assumption boolean",
    "int_click_weights": "search_id varchar, doc_id varchar, rank integer, clicked integer,"
    " propensity double, ips_weight double, ips_label double",
    "fct_weak_labels": "query varchar, doc_id varchar, window_start timestamp,"
    " window_end timestamp, label double, weight double, votes varchar, naive_ctr double,"
    " ips_ctr double, n_impressions bigint, n_clicks bigint",
    "fct_training_manifest": "manifest_id varchar, window_start timestamp, window_end timestamp,"
    " embargo_end timestamp, evaluation_start timestamp, evaluation_end timestamp,"
    " n_searches bigint, n_impressions bigint, n_clicks bigint, n_pairs bigint, n_groups bigint,"
    " n_rows bigint, fingerprint varchar, vars varchar, is_leak_free boolean, is_trainable boolean,"
    " not_trainable_reason varchar",
    "fct_offline_evaluations": "evaluation_id varchar, model_version varchar,"
    " champion_version varchar, window_start timestamp, window_end timestamp, metric varchar,"
    " value double, ci_low double, ci_high double, delta double, delta_ci_low double,"
    " delta_ci_high double, n bigint, n_users bigint, n_clicks bigint, evaluated_at timestamp,"
    " is_champion boolean, is_gate_metric boolean, is_better boolean",
    "fct_offline_verdicts": "evaluation_id varchar, model_version varchar, verdict varchar,"
    " reason varchar, is_deployable boolean, relative_delta double, relative_delta_ci_low double,"
    " relative_delta_ci_high double, support double, evaluated_at timestamp",
    "fct_offline_online_ledger": "deployment_id varchar, challenger_version varchar,"
    " champion_version varchar, offline_verdict varchar, outcome varchar, predicted_delta double,"
    " predicted_ci_low double, predicted_ci_high double, observed_delta double,"
    " observed_ci_low double, observed_ci_high double, support double, changed_share double,"
    " n_canary_users bigint, is_consistent boolean, started_at timestamp",
    "fct_canary_decisions": "deployment_id varchar, look integer, look_date date, decision varchar,"
    " reason varchar, e_value double, ci_low double, ci_high double, delta double, metric varchar,"
    " srm_p double, n_champion_users bigint, n_canary_users bigint, is_final boolean,"
    " n_mixed_users bigint, canary_share double, is_safe_to_ramp boolean",
    "fct_canary_comparisons": "deployment_id varchar, look integer, metric varchar,"
    " priority integer, label varchar, kind varchar, champion_value double, canary_value double,"
    " delta double, ci_low double, ci_high double, e_value double",
    "dim_model_versions": "model_version varchar, state varchar, registered_at timestamp,"
    " state_changed_at timestamp, window_start timestamp, window_end timestamp,"
    " fingerprint varchar, artifact_path varchar, artifact_sha256 varchar, metrics varchar,"
    " reason varchar, is_current_champion boolean",
    "fct_flywheel_iterations": "iteration_id varchar, iteration integer, started_at timestamp,"
    " finished_at timestamp, challenger_version varchar, champion_version varchar,"
    " deployment_id varchar, offline_metric varchar, offline_delta double,"
    " offline_delta_ci_low double, offline_delta_ci_high double, online_delta double,"
    " online_delta_ci_low double, online_delta_ci_high double, online_metric varchar,"
    " decision varchar, reason varchar, fingerprint varchar",
}

ALPHA = 0.6
DAY = datetime(2026, 3, 1)
TRUTH = {
    "propensities": [0.9 / rank**ALPHA for rank in range(1, 11)],
    "turns": [
        {"turn": turn, "loop": loop, "true_ndcg": start + gain * (1 - math.exp(-turn / 1.5))}
        for loop, start, gain in (
            ("flywheel", 0.612, 0.148),
            ("raw clicks", 0.612, 0.061),
            ("production", 0.612, 0.0),
        )
        for turn in range(6)
    ],
}


def settings_of(folder: Path) -> Settings:
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    return Settings(project=PROJECT, home=home, database=home / "warehouse.duckdb")


def place(table: str) -> str:
    return f"main_intermediate.{table}" if table.startswith("int_") else table


def create_tables(settings: Settings) -> None:
    with duckdb.connect(str(settings.database)) as connection:
        connection.execute("create schema main_intermediate")
        for table, columns in SCHEMA.items():
            connection.execute(f"create table {place(table)} ({columns})")
        connection.execute(
            "create view main_intermediate.int_deployments__decided as "
            + SqlProject().model("int_deployments__decided")
        )


def insert(connection: duckdb.DuckDBPyConnection, table: str, rows: list[tuple]) -> None:
    if rows:
        marks = ", ".join("?" * len(rows[0]))
        connection.executemany(f"insert into {table} values ({marks})", rows)


def fill(settings: Settings, contexts: tuple[str, ...] = ("all",)) -> None:
    """A log of 6,000 searches (600 by bots), three turns, two canaries."""
    with duckdb.connect(str(settings.database)) as connection:
        connection.execute(
            """
            insert into fct_searches
            select
                's' || i, 'n' || (i // 2), 'u' || (i // 4),
                timestamp '2026-03-01' + interval (i * 11) minute, 'query ' || (i % 50),
                i % 10 = 0,
                case when i % 20 = 0 then ['user_agent', 'too_many_searches']
                    when i % 10 = 0 then ['regular_gaps'] else [] end,
                10, i % 3
            from range(6000) as r(i)
            """
        )
        connection.execute(
            """
            insert into fct_sessions
            select
                session_id, any_value(user_id), bool_or(is_bot),
                coalesce(max(bot_reasons) filter (where is_bot), [])
            from fct_searches group by session_id
            """
        )
        # Rank r is clicked in 2000 / r^0.9 of 5400 searches, exactly.
        connection.execute(
            """
            insert into fct_impressions
            select
                s.search_id, 'd' || r.rank, s.query, r.rank,
                cast(row_number() over (partition by r.rank order by s.search_id)
                    <= 2000 / pow(r.rank, 0.9) as integer),
                ?
            from fct_searches as s
            cross join (select unnest(range(1, 11)) as rank) as r
            where not s.is_bot
            """,
            [contexts[0]],
        )
        insert(connection, "fct_input_reconciliation", [
            ("ubi_queries", "logs/ubi_queries.ndjson.gz", 6112, 6000, 100, 12),
            ("ubi_events", "logs/ubi_events.ndjson.gz", 15340, 15003, 320, 17),
        ])  # fmt: skip
        reasons = {"truncated_line": 4, "rank_out_of_range": 9, "no_such_search": 16}
        insert(connection, "fct_quarantined_rows", [
            (f"{reason}-{i}", "ubi_events", "logs/ubi_events.ndjson.gz", 100 + 7 * i, reason,
             '{"secret": "payload"}', None)
            for reason, n in reasons.items() for i in range(n)
        ])  # fmt: skip
        rows = []
        for context in contexts:
            wobble = 0.05 * contexts.index(context)
            for estimator, alpha, active in (
                ("randomised", 0.6 + wobble, True), ("ipf", 0.66 + wobble, False),
                ("power_law", 0.6, False), ("none", 0.0, False),
            ):  # fmt: skip
                for rank in range(1, 11):
                    p = rank**-alpha * (1 + 0.02 * math.sin(3 * rank) * (rank > 1) * active)
                    se = 0.0 if rank == 1 else 0.02 * math.sqrt(rank)
                    rows.append((
                        estimator, context, rank, p, p * math.exp(-1.96 * se),
                        p * math.exp(1.96 * se), se, 5400, int(2000 / rank**0.9), rank != 10,
                        active,
                    ))  # fmt: skip
        insert(connection, "fct_position_propensities", rows)
        words_of = {"randomised": "randomised traffic", "power_law": "power law", "ipf": "IPF"}
        insert(connection, "fct_propensity_diagnostics", [
            (estimator, context, estimator == "randomised", 6230, ess, share, clipped, alpha, se, 1,
             None, "Randomised traffic was chosen: each of the first ten ranks has at least 100 "
             "randomised clicks.", words_of.get(estimator, estimator),
             estimator in ("power_law", "none"))
            for context in contexts
            for estimator, ess, share, clipped, alpha, se in (
                ("randomised", 4218.4, 0.00083, 0.0, 0.604, 0.021),
                ("ipf", 4011.0, 0.00091, 0.002, 0.662, 0.013),
                ("power_law", 4230.0, 0.0008, 0.0, 0.6, None),
                ("none", 6230.0, 0.00016, 0.0, None, None),
            )
        ])  # fmt: skip
        # Clicks at ranks 1 to 10, fewer further down; rank 10 is clipped at 3.9.
        connection.execute(
            """
            insert into main_intermediate.int_click_weights
            select
                's' || i, 'd' || rank, rank, cast(i % rank = 0 as integer), pow(rank, -0.6),
                least(pow(rank, 0.6), 3.9), if(i % rank = 0, least(pow(rank, 0.6), 3.9), 0)
            from range(2520) as r(i)
            cross join (select unnest(range(1, 11)) as rank) as k
            """
        )
        insert(connection, "fct_weak_labels", [
            (f"garden hose {i}", f"sku-{1000 + i}", DAY, DAY + timedelta(days=30), 0.3 + 0.05 * i,
             9.0, "{}", 0.05 + 0.01 * i, 0.11 + 0.02 * i, 400 + 50 * i, 20 + 4 * i)
            for i in range(12)
        ])  # fmt: skip
        insert(connection, "fct_training_manifest", [
            ("m1", DAY, DAY + timedelta(days=30), DAY + timedelta(days=30, hours=2),
             DAY + timedelta(days=30, hours=2), DAY + timedelta(days=37), 4000, 40000, 4200, 2500,
             2500, 26000, "9f2c41d7aa10b3e5c8f04d6e21b7c093", '{"ips_clip": 3.9}', True, True, None)
        ])  # fmt: skip
        fill_evaluation(connection)
        fill_canaries(connection)
        fill_ledger(connection)
        fill_turns(connection)


def fill_evaluation(connection: duckdb.DuckDBPyConnection) -> None:
    window = (DAY + timedelta(days=30), DAY + timedelta(days=37))
    metrics = [
        ("snips_ndcg_at_10", 0.6412, 0.6093, 0.0102),
        ("ndcg_at_10", 0.5533, 0.5501, 0.009),
        ("dcg_at_10", 0.9312, 0.9002, 0.02),
        ("mrr", 0.4821, 0.4702, 0.008),
        ("mean_clicked_rank", 3.21, 3.4, 0.1),
    ]
    rows = []
    for metric, challenger, champion, se in metrics:
        gate = metric == "snips_ndcg_at_10"
        delta = challenger - champion
        counts = (1234, 456, 789, DAY + timedelta(days=38))
        rows += [
            (
                "e3", "v3", "v2", *window, metric, challenger, challenger - 2 * se,
                challenger + 2 * se, delta, delta - 1.4 * se, delta + 1.4 * se, *counts,
                False, gate, gate,
            ),
            (
                "e3", "v2", "v2", *window, metric, champion, champion - 2 * se,
                champion + 2 * se, None, None, None, *counts, True, False, False,
            ),
            (
                "e1", "v1", "logged", *window, metric, 0.1111, 0.1, 0.2, 0.0321, 0.01, 0.05, 999,
                99, 222, DAY + timedelta(days=10), False, gate, gate,
            ),
        ]  # fmt: skip
    insert(connection, "fct_offline_evaluations", rows)
    evaluated_at = DAY + timedelta(days=38)
    verdicts = [
        ("e3", "v3", "better", "+3.0 % clicks", True, 0.03, 0.01, 0.05, 0.9, evaluated_at),
        ("e1", "v1", "unsupported", "an older one", False, 0, -1, 1, 0.5, DAY),
    ]
    insert(connection, "fct_offline_verdicts", verdicts)


def fill_canaries(connection: duckdb.DuckDBPyConnection) -> None:
    """dep-1 is promoted at its last look, dep-2 rolled back at its eighth of ten."""
    rows, compared = [], []
    for deployment, true_ctr, true_success, start, decides, decision in (
        ("dep-1", 0.021, 0.012, 10, 10, "promote"),
        ("dep-2", -0.019, -0.004, 24, 8, "roll_back"),
    ):
        for look in range(1, 11):
            wobble = 0.004 * math.sin(2.1 * look) / math.sqrt(look)
            ctr, success = true_ctr + wobble, true_success - wobble
            half = 0.045 / math.sqrt(look)
            final = look == decides
            reason = f"CTR of {deployment} {'excludes' if final else 'includes'} zero at {look}."
            rows.append((
                deployment, look, (DAY + timedelta(days=start + look)).date(),
                decision if final else "continue", reason, math.exp(look / 2), ctr - half,
                ctr + half, ctr, "ctr", 0.41, 1900 * look, 101 * look, final, 3, None,
                False,
            ))  # fmt: skip
            for priority, (metric, label, kind, value, delta, width) in enumerate((
                ("ctr", "CTR", "binary", 0.312, ctr, half),
                ("session_success", "Session success", "binary", 0.205, success, 1.2 * half),
                ("dwell", "Seconds read", "amount", 41.0, 100 * success, 120 * half),
            ), 1):  # fmt: skip
                compared.append((
                    deployment, look, metric, priority, label, kind, value, value + delta, delta,
                    delta - width, delta + width, math.exp(look / 2),
                ))  # fmt: skip
    insert(connection, "fct_canary_decisions", rows)
    insert(connection, "fct_canary_comparisons", compared)


def fill_ledger(connection: duckdb.DuckDBPyConnection) -> None:
    """Three deployments that users have judged, in a straight line, and one without users yet."""
    rows = []
    for number, predicted, observed in ((1, 0.08, 0.04), (2, 0.02, -0.02), (3, 0.05, 0.01)):
        rows.append((
            f"dep-{number}", f"v{number}", "logged", "better", "promoted", predicted,
            predicted - 0.03, predicted + 0.03, observed, observed - 0.05, observed + 0.05, 0.91,
            0.75, 120 + number, number < 3, DAY + timedelta(days=number),
        ))  # fmt: skip
    nothing = (None,) * 6
    rows.append((
        "dep-4", "v4", "v1", None, None, *nothing, None, None, 0, None, DAY + timedelta(days=9),
    ))  # fmt: skip
    insert(connection, "fct_offline_online_ledger", rows)


def fill_turns(connection: duckdb.DuckDBPyConnection) -> None:
    rows = [
        (
            1, 20, "v1", "logged", "dep-1", 0.0321, 0.0112, 0.0530, 0.0212, 0.0068, 0.0356, "ctr",
            "promote", "CTR excludes zero after 10 days.",
        ),
        (
            2, 34, "v2", "v1", "dep-2", 0.0140, 0.0021, 0.0259, -0.0187, -0.0331, -0.0043, "ctr",
            "roll_back", "CTR excludes zero after 8 days.",
        ),
        (
            3, 38, "v3", "v1", None, 0.0031, -0.0080, 0.0142, None, None, None, None,
            "kept", "v3 stays on the shelf: it does not beat v1 beyond noise",
        ),
    ]  # fmt: skip
    insert(connection, "fct_flywheel_iterations", [
        (
            f"i{number}", number, DAY, DAY + timedelta(days=ended), challenger, champion,
            deployment, "snips_ndcg_at_10", *numbers, f"f00d{number}",
        )
        for number, ended, challenger, champion, deployment, *numbers in rows
    ])  # fmt: skip
    insert(connection, "dim_model_versions", [
        (
            version, state, DAY + timedelta(days=at), DAY + timedelta(days=at + 1), DAY,
            DAY + timedelta(days=30), "9f2c41d7aa10b3e5c8f04d6e21b7c093",
            f"models/{version}/model.txt", "ab" * 32,
            json.dumps({"ndcg_at_10": 0.5 + at / 1000, "n_trees": 120}), reason,
            state == "champion",
        )
        for version, state, at, reason in (
            ("v1", "champion", 9, "CTR excludes zero after 10 days."),
            ("v2", "rolled_back", 23, "CTR excludes zero after 8 days."),
            ("v3", "challenger", 37, None),
        )
    ])  # fmt: skip


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = settings_of(tmp_path_factory.mktemp("full"))
    create_tables(settings)
    fill(settings)
    return settings


@pytest.fixture(scope="module")
def page(full: Settings) -> str:
    return write_report(full, truth=TRUTH).read_text("utf-8")


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of words alone: to draw the figures takes nine tenths of a page's time."""

    def figured(
        name: str, description: str, draw: Callable[[Layout], Figure | None]
    ) -> Markup | None:
        figure = draw(WIDE)
        return None if figure is None else Markup("drawn")

    monkeypatch.setattr(sections, "responsive_svg", figured)


class Outline(HTMLParser):
    """Checks nesting; collects tables, element attributes, texts and picture texts."""

    VOID = frozenset(["meta", "link", "br", "input", "img", "hr"])

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[str] = []
        self.attributes: list[tuple[str, dict]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.region = ""
        self.cell: list[str] | None = None
        self.words: list[str] = []
        self.drawn: list[str] = []
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        assert len(found) == len(attrs), f"attribute twice in <{tag}>"
        self.attributes.append((tag, found))
        if tag not in self.VOID:
            self.stack.append(tag)
        if found.get("role") == "region":
            self.region = found["aria-label"]
        if tag == "table":
            self.tables.setdefault(self.region, [])
        if tag == "tr":
            self.tables[self.region].append([])
        if tag in ("td", "th"):
            self.cell = []

    def handle_startendtag(self, tag, attrs):
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.stack and self.stack[-1] == tag, f"</{tag}> closes <{self.stack[-1:]}>"
        self.stack.pop()
        if tag in ("td", "th"):
            self.tables[self.region][-1].append("".join(self.cell).strip())
            self.cell = None

    def handle_data(self, data):
        if self.cell is not None:
            self.cell.append(data)
        if "style" in self.stack:
            return
        (self.drawn if "svg" in self.stack else self.words).append(data)


def column(table: list[list[str]], name: str, occurrence: int = 0) -> list[str]:
    index = [i for i, head in enumerate(table[0]) if head == name][occurrence]
    return [row[index] for row in table[1:]]


def query(settings: Settings, sql: str) -> list[tuple]:
    with duckdb.connect(str(settings.database), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_the_page_is_well_formed_and_whole(page: str) -> None:
    outline = Outline(page)
    ids = [found["id"] for _, found in outline.attributes if "id" in found]
    assert len(ids) == len(set(ids))
    assert [name for name in ids if name in SECTIONS] == SECTIONS
    for _, found in outline.attributes:
        for name in {"href", "for"} & set(found):
            if name == "for" or found[name].startswith("#"):
                assert found[name].removeprefix("#") in ids, found[name]
        for target in re.findall(r"url\(#([^)]*)\)", " ".join(filter(None, found.values()))):
            assert target in ids, target


def test_the_page_loads_nothing(page: str) -> None:
    for tag, found in Outline(page).attributes:
        assert tag not in ("script", "img", "iframe", "object", "embed", "image", "foreignobject")
        for name, value in found.items():
            assert not name.startswith("on")
            assert name not in ("src", "srcset", "data", "action", "poster")
            if name in ("href", "xlink:href"):
                assert value.startswith("#") or value == "data:,"
    assert "http://" not in page and "https://" not in page
    assert "@import" not in page and "<script" not in page.lower()
    assert re.findall(r"url\((?!#)", page) == []


def test_pictures_keep_their_text_and_their_theme(page: str) -> None:
    drawn = [text.strip() for text in Outline(page).drawn]
    for words_in_a_picture in (
        "rank (1 = top of the list)", "randomised traffic (in use)", "truth (simulated)",
        "raw click rate", "challenger minus champion", "SNIPS nDCG@10",
        "CTR: canary minus champion", "Seconds read: canary minus champion",
        "turn of the loop", "raw clicks", "percentage points", "decided: roll back",
    ):  # fmt: skip
        assert words_in_a_picture in drawn, words_in_a_picture
    pictures = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    assert pictures.count("<svg") == pictures.count('class="wide"') + pictures.count(
        'class="narrow"'
    )
    assert re.findall(r"(?:fill|stroke): #(?!000000)[0-9a-f]{6}", pictures) == []


def test_cards_say_what_the_warehouse_says(page: str, full: Settings) -> None:
    cards = re.findall(
        r'<div class="name">(.*?)</div>\s*<div class="figure[^"]*">(.*?)</div>', page, re.DOTALL
    )
    found = {name: value.strip() for name, value in cards}
    clicks = query(full, "select sum(clicked) from fct_impressions")[0][0]
    assert found == {
        "Searches": "6,000",
        "Human share": "90.0%",
        "Clicks": f"{clicks:,}",
        "Active estimator": "randomised traffic",
        "Champion": "v1",
        "Last decision": "kept",
    }
    assert "9f2c41d7aa10b3e5c8f04d6e21b7c093" in page
    assert "2026-03-01 to 2026-03-31" in page


def test_input_and_quarantine_tables(page: str) -> None:
    tables = Outline(page).tables
    assert tables["Input rows"][1:] == [
        ["ubi_events", "logs/ubi_events.ndjson.gz", "15,340", "15,003", "320", "17"],
        ["ubi_queries", "logs/ubi_queries.ndjson.gz", "6,112", "6,000", "100", "12"],
        ["All", "", "21,452", "21,003", "420", "29"],
    ]
    assert tables["Quarantined rows"][1:] == [
        ["ubi_events", "no such search", "16", "1", "logs/ubi_events.ndjson.gz, row 100"],
        ["ubi_events", "rank out of range", "9", "1", "logs/ubi_events.ndjson.gz, row 100"],
        ["ubi_events", "truncated line", "4", "1", "logs/ubi_events.ndjson.gz, row 100"],
    ]
    assert "secret" not in page and "do not add up" not in page


def test_bot_table_counts_each_reason_and_the_total_once(page: str) -> None:
    table = Outline(page).tables["Bots by reason"]
    assert column(table, "Reason") == [
        "regular gaps", "too many searches", "user agent", "Any reason",
    ]  # fmt: skip
    assert column(table, "Searches") == ["300", "300", "300", "600"]
    assert column(table, "Share of all") == ["5.0%", "5.0%", "5.0%", "10.0%"]
    assert column(table, "Visitors") == ["300", "300", "300", "600"]


def test_propensity_table_equals_the_warehouse(page: str, full: Settings) -> None:
    table = Outline(page).tables["Propensity by rank"]
    rows = query(
        full,
        "select rank, propensity, ci_low, ci_high, n_impressions, n_clicks"
        " from fct_position_propensities where is_active order by rank",
    )
    assert column(table, "Rank") == [str(row[0]) for row in rows]
    assert column(table, "Propensity") == [f"{row[1]:.3f}" for row in rows]
    assert column(table, "Interval") == [f"[{row[2]:.3f}, {row[3]:.3f}]" for row in rows]
    assert column(table, "n (shown)") == [f"{row[4]:,}" for row in rows]
    assert column(table, "Clicks") == [f"{row[5]:,}" for row in rows]
    assert column(table, "Weight") == [f"{1 / row[1]:.3f}" for row in rows]
    assert column(table, "Truth") == [f"{rank**-ALPHA:.3f}" for rank in range(1, 11)]
    clicked = [math.floor(2000 / rank**0.9 + 1e-9) for rank in range(1, 11)]
    raw = [float(value) for value in column(table, "Raw click rate")]
    assert raw == pytest.approx([n / 2000 for n in clicked], abs=0.00051)
    assert "Not identified from this log: rank 10." in page
    assert "is an assumption" not in page


def test_offline_table_is_the_newest_evaluation(page: str) -> None:
    table = Outline(page).tables["Offline metrics"]
    assert column(table, "Metric")[0] == "SNIPS nDCG@10"
    assert column(table, "Champion")[0] == "0.6093"
    assert column(table, "Challenger")[0] == "0.6412"
    assert column(table, "Difference")[0] == "+0.0319"
    assert column(table, "Interval", 1)[0] == "[0.0176, 0.0462]"
    assert column(table, "n (searches)")[0] == "1,234"
    assert "0.1111" not in page
    assert column(table, "Clicks")[0] == "789"
    gate = "better: SNIPS nDCG@10 +0.0319, interval [0.0176, 0.0462] lies above zero"
    assert f"<dd>{gate}</dd>" in page
    assert "being on another scale: mean clicked rank" in page


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-0.02, -0.01, "worse: SNIPS nDCG@10 +0.0319, interval [−0.0200, −0.0100] lies below"),
        (
            -0.02,
            0.01,
            "no different: SNIPS nDCG@10 +0.0319, interval [−0.0200, 0.0100] includes zero",
        ),
        (0.01, 0.02, "lies above zero, but 456 users with 789 clicks are too few to believe it"),
        (None, None, "unknown: SNIPS nDCG@10 has no interval"),
    ],
)
def test_a_gate_that_stays_shut_says_why(
    tmp_path: Path, low: float | None, high: float | None, said: str
) -> None:
    settings = settings_of(tmp_path)
    create_tables(settings)
    with duckdb.connect(str(settings.database)) as connection:
        fill_evaluation(connection)
        connection.execute(
            "update fct_offline_evaluations set delta_ci_low = ?, delta_ci_high = ?,"
            " is_better = false where is_gate_metric",
            [low, high],
        )
    assert said in write_report(settings).read_text("utf-8")


@pytest.mark.usefixtures("undrawn")
def test_an_evaluation_of_nothing_is_said(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    create_tables(settings)
    with duckdb.connect(str(settings.database)) as connection:
        fill_evaluation(connection)
        connection.execute(
            "update fct_offline_evaluations set value = null, delta = null, n = 0, n_clicks = 0"
        )
    assert "of v3, could compare nothing: it found 0 searches" in write_report(settings).read_text()


def test_ledger_holds_predictions_beside_what_users_did(page: str) -> None:
    table = Outline(page).tables["Offline and online"]
    assert column(table, "Deployment") == ["dep-4", "dep-3", "dep-2", "dep-1"]
    assert column(table, "Predicted")[1:] == [
        "+5.0 %+2.0 % to +8.0 %", "+2.0 %−1.0 % to +5.0 %", "+8.0 %+5.0 % to +11.0 %",
    ]  # fmt: skip
    assert column(table, "Observed")[3].startswith("+4.0 %")
    assert column(table, "Outcome")[0] == "running"
    # Both intervals meet in two of three, and the three lie on one line.
    assert (
        "meet in 2 of 3 deployments; predicted and observed differences correlate by 1.00" in page
    )


def test_canary_looks_and_reasons(page: str) -> None:
    outline = Outline(page)
    table = outline.tables["Looks"]
    # Two deployments, ten looks each, one heading row each.
    assert len(table) == 22
    assert column(table, "Decision")[7:10] == ["roll back", "continue", "continue"]
    assert page.index("Deployment dep-2") < page.index("Deployment dep-1")
    # The decision and its numbers are the deciding look's, not the last one's.
    assert "CTR of dep-2 excludes zero at 8." in page
    assert "Look 8 decided" in page and "Look 10 decided" not in page
    deciding = outline.tables["Metrics at the deciding look"]
    assert deciding[0][0] == "At look 8" and deciding[4][0] == "At look 10"
    assert column(table, "Difference")[7] == deciding[1][3]
    assert deciding[1][1] == "31.20%"
    # Whatever metrics there are, each in its own unit.
    assert deciding[3][:2] == ["Seconds read", "41.000"]
    assert re.fullmatch(r"−0\.\d{3}", deciding[3][3])


def test_turns_and_true_quality(page: str) -> None:
    tables = Outline(page).tables
    assert column(tables["Turns of the loop"], "Decision") == [
        "promote", "roll back", "kept",
    ]  # fmt: skip
    assert column(tables["Turns of the loop"], "Offline difference")[0].split() == [
        "+0.0321[0.0112,", "0.0530]",
    ]  # fmt: skip
    assert column(tables["Turns of the loop"], "Online difference")[1].startswith("CTR −1.87 pp")
    quality = tables["True nDCG@10 by turn"]
    assert quality[0] == ["Turn", "flywheel", "raw clicks", "production"]
    assert quality[1] == ["0", "0.6120", "0.6120", "0.6120"]
    assert quality[6][3] == "0.6120"


def test_models_table(page: str) -> None:
    table = Outline(page).tables["Model versions"]
    assert column(table, "Version") == ["v3", "v2", "v1"]
    assert column(table, "State") == ["challenger", "rolled back", "champion"]
    assert column(table, "Metrics at training")[2] == "nDCG@10 0.509"


def test_truth_is_optional(full: Settings, tmp_path: Path) -> None:
    told = []
    path = write_report(full, output=tmp_path / "p.html", on_progress=lambda *a: told.append(a))
    page = path.read_text("utf-8")
    outline = Outline(page)
    assert "Truth" not in outline.tables["Propensity by rank"][0]
    assert "truth (simulated)" not in page and "True quality" not in page
    assert "Propensity by rank" in outline.tables
    assert [done for done, _, _ in told] == list(range(10))
    assert {total for _, total, _ in told} == {9}


def test_an_empty_warehouse_is_told_in_sentences(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    create_tables(settings)
    page = write_report(settings).read_text("utf-8")
    outline = Outline(page)
    text = "".join(outline.words)
    assert outline.drawn == []
    for sentence in (
        "The log holds no search that could be used",
        "No training set has been built yet.",
        "No input file has been read yet.",
        "No row was quarantined.",
        "No search was set aside as automatic traffic.",
        "There is no position-bias curve yet",
        "There are no weights yet",
        "No challenger has been evaluated yet.",
        "No canary has been deployed yet",
        "The loop has not turned yet.",
        "Nothing has been deployed yet.",
        "No model has been registered yet",
    ):
        assert sentence in text, sentence
    assert "None" not in text and "nan" not in text


def test_built_but_never_trained(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    create_tables(settings)
    fill(settings)
    with duckdb.connect(str(settings.database)) as connection:
        for table in (
            "fct_offline_evaluations", "fct_canary_decisions", "dim_model_versions",
            "fct_canary_comparisons", "fct_flywheel_iterations", "fct_offline_online_ledger",
        ):  # fmt: skip
            connection.execute(f"delete from {table}")
        connection.execute(
            "update fct_training_manifest set is_trainable = false,"
            " not_trainable_reason = 'Only 12 clicks; 100 are needed.', is_leak_free = false"
        )
    page = write_report(settings).read_text("utf-8")
    Outline(page)
    assert "cannot train a ranker yet. Only 12 clicks; 100 are needed.</p>" in page
    assert "Training and evaluation data are mixed" in page
    assert "no model has been promoted yet" in page


EVIL = '</text></svg><script>alert("x")</script><img src=x onerror=alert(1)> $\\frac$ \x00\ud83d'


def test_nothing_from_the_data_becomes_markup(tmp_path: Path) -> None:
    """Every text column of every table holds an attack; the page shows it as text."""
    settings = settings_of(tmp_path)
    create_tables(settings)
    fill(settings)
    evil = EVIL.replace("\x00", "\x01").replace("\ud83d", "\u202e")
    kept = {"clicked", "decision", "state"}
    with duckdb.connect(str(settings.database)) as connection:
        for table, columns in SCHEMA.items():
            names = [part.split()[0] for part in columns.split(", ") if part.endswith("varchar")]
            for name in set(names) - kept:
                connection.execute(
                    f"update {place(table)} set {name} = ? || coalesce({name}, '')", [evil]
                )
        connection.execute("update fct_searches set bot_reasons = [?] where is_bot", [evil])
        connection.execute("update fct_canary_decisions set decision = ? where look = 10", [evil])
        connection.execute(
            "update dim_model_versions set state = ? where model_version <> 'v1'", [evil]
        )
    turns = [
        {"turn": 1, "loop": evil, "true_ndcg": 0.5},
        {"turn": 2, "loop": evil, "true_ndcg": 0.6},
    ]
    page = write_report(settings, truth={"turns": turns}).read_text("utf-8")
    outline = Outline(page)
    assert "<script" not in page and "onerror=alert(1)>" not in page
    assert {tag for tag, _ in outline.attributes}.isdisjoint({"script", "img"})
    assert all(not name.startswith("on") for _, found in outline.attributes for name in found)
    assert any('<script>alert("x")' in text for text in outline.words)
    assert any("</text></svg><script>" in text for text in outline.drawn)
    assert "\u202e" not in page and "\x01" not in page


def test_numbers_that_are_not_numbers_are_dashes(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    create_tables(settings)
    fill(settings)
    with duckdb.connect(str(settings.database)) as connection:
        for table, columns in SCHEMA.items():
            for part in columns.split(", "):
                name, kind = part.split()
                if kind == "double":
                    value = "'nan'::double" if name.startswith(("ci", "ctr", "p")) else "null"
                    connection.execute(f"update {place(table)} set {name} = {value}")
    page = write_report(settings).read_text("utf-8")
    outline = Outline(page)
    assert not re.search(r"\bnan\b|\bNone\b|\binf\b", "".join(outline.words + outline.drawn))
    assert set(column(outline.tables["Propensity by rank"], "Propensity")) == {"–"}
    assert "There is no position-bias curve yet" in page


def test_contexts_get_a_panel_and_a_table_each(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    create_tables(settings)
    fill(settings, contexts=("desktop", "mobile", "tablet"))
    page = write_report(settings, truth=TRUTH).read_text("utf-8")
    table = Outline(page).tables["Propensity by rank"]
    assert len(table) == 33
    for context in ("desktop", "mobile", "tablet"):
        assert f"Context: {context}" in page
        # Linear and logarithmic, wide and narrow.
        assert len([text for text in Outline(page).drawn if text.strip() == context]) == 4


@pytest.mark.usefixtures("undrawn")
def test_many_files_and_ranks_are_shortened(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    create_tables(settings)
    fill(settings)
    with duckdb.connect(str(settings.database)) as connection:
        connection.execute(
            "insert into fct_input_reconciliation"
            " select 'ubi_events', 'day-' || i || '.ndjson', 10, 8, 1, 1 from range(40) as r(i)"
        )
        connection.execute("delete from fct_position_propensities")
        connection.execute(
            "insert into fct_position_propensities select 'ipf', 'all', i, pow(i, -0.6),"
            " pow(i, -0.6) * 0.9, pow(i, -0.6) * 1.1, 0.05, 10, 1, true, true"
            " from range(1, 151) as r(i)"
        )
    page = write_report(settings).read_text("utf-8")
    tables = Outline(page).tables
    assert tables["Input rows"][1][1] == "41 files"
    assert tables["Input rows"][-1][2] == "21,852"
    assert len(tables["Propensity by rank"]) == 21
    assert len(tables["Propensity by rank, continued"]) == 81
    assert "50 deeper ranks" in page and "The picture ends at rank 50" in page


@pytest.mark.usefixtures("undrawn")
def test_an_assumed_curve_is_called_one(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    create_tables(settings)
    fill(settings)
    with duckdb.connect(str(settings.database)) as connection:
        connection.execute(
            "update fct_position_propensities set is_active = estimator = 'power_law',"
            " is_identified = false, ci_low = null, ci_high = null"
        )
    page = write_report(settings).read_text("utf-8")
    assert "the whole curve (power law) is an assumption, not a measurement." in page
    assert set(column(Outline(page).tables["Propensity by rank"], "Interval")) == {"–"}


def test_weights_are_those_of_the_clicks(page: str) -> None:
    # 2520 / k clicks at rank k, each weighing k^0.6, at most 3.9.
    clicks = {rank: 2520 // rank for rank in range(1, 11)}
    weight = {rank: min(rank**0.6, 3.9) for rank in clicks}
    mean = sum(clicks[rank] * weight[rank] for rank in clicks) / sum(clicks.values())
    said = f"{sum(clicks.values()):,} clicks of the training window; mean weight {mean:.2f}"
    assert f"{said}, from 1.00 to 3.90, clipped at 3.9" in page


@pytest.mark.usefixtures("undrawn")
def test_a_reconciliation_that_fails_is_said(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    create_tables(settings)
    fill(settings)
    with duckdb.connect(str(settings.database)) as connection:
        connection.execute("update fct_input_reconciliation set n_used = 1 where n_rows = 6112")
    assert "do not add up to the rows read in 1 of 2 files" in write_report(settings).read_text()


def test_missing_tables_and_columns_are_one_sentence(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    with pytest.raises(FlywheelError, match="There is no warehouse"):
        write_report(settings)
    create_tables(settings)
    with duckdb.connect(str(settings.database)) as connection:
        connection.execute("alter table fct_canary_decisions drop column e_value")
    with pytest.raises(
        FlywheelError, match=r"has no column e_value, which analyses/looks_at_canaries\.sql reads"
    ):
        write_report(settings)
    with duckdb.connect(str(settings.database)) as connection:
        connection.execute("drop table fct_canary_decisions")
        connection.execute("drop table fct_sessions")
        connection.execute("drop view main_intermediate.int_deployments__decided")
    absent = "fct_sessions, fct_canary_decisions and int_deployments__decided"
    with pytest.raises(FlywheelError, match=absent):
        write_report(settings)
    assert not (settings.reports / "report.html").exists()


@pytest.mark.parametrize(
    "truth",
    [
        {"propensities": [0.9, "high"]},
        {"propensities": [0.9, 0.0]},
        {"turns": [{"turn": 1, "loop": "flywheel"}]},
        {"turns": [{"turn": 1, "loop": "flywheel", "true_ndcg": float("nan")}]},
    ],
)
def test_malformed_truth_is_one_sentence(full: Settings, tmp_path: Path, truth: dict) -> None:
    with pytest.raises(FlywheelError, match="The truth is malformed"):
        write_report(full, truth=truth, output=tmp_path / "r.html")
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path)
    create_tables(settings)
    path = tmp_path / "deep" / "report.html"
    assert write_report(settings, output=path) == path
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]
    path.write_text("the old report")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "disk full")))
    with pytest.raises(FlywheelError, match="disk full"):
        write_report(settings, output=path)
    assert path.read_text() == "the old report"
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]
    with pytest.raises(FlywheelError, match="cannot be written"):
        write_report(settings, output=tmp_path)


def test_the_readme_picture(full: Settings, tmp_path: Path) -> None:
    png = write_curve_picture(full, tmp_path / "curve.png", truth=TRUTH)
    assert png.read_bytes().startswith(b"\x89PNG\r\n")
    first = write_curve_picture(full, tmp_path / "a.svg", truth=TRUTH).read_bytes()
    assert first == write_curve_picture(full, tmp_path / "b.svg", truth=TRUTH).read_bytes()
    assert b"True quality, turn by turn" in first
    only_curve = write_curve_picture(full, tmp_path / "c.svg").read_text()
    assert "True quality" not in only_curve and "How often users look" in only_curve
    with pytest.raises(FlywheelError, match=r"\.png or \.svg"):
        write_curve_picture(full, tmp_path / "curve.gif")


def test_the_readme_picture_needs_a_curve(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    create_tables(settings)
    with pytest.raises(FlywheelError, match="no position-bias curve"):
        write_curve_picture(settings, tmp_path / "curve.png")


def test_the_curve_is_drawn_where_the_numbers_are() -> None:
    """The active line's points, read back from the figure, are the table's."""
    rows = [
        {
            "estimator": "ipf", "context": "all", "rank": rank, "propensity": rank**-0.5,
            "ci_low": rank**-0.5 * 0.9, "ci_high": rank**-0.5 * 1.1, "n_clicks": 5,
            "is_active": True, "is_identified": rank != 4, "estimator_words": "IPF",
            "is_assumption": False,
        }
        for rank in (1, 2, 4)
    ]  # fmt: skip
    idle = {"is_active": False, "estimator_words": "another"}
    rows += [row | idle | {"estimator": "other"} for row in rows]
    assumed = idle | {"estimator": "guess", "is_assumption": True, "estimator_words": "a guess"}
    rows += [row | assumed for row in rows[:3]]
    raw = [{"context": "all", "rank": rank, "click_rate": 0.3 / rank} for rank in (1, 2, 4)]
    figure = charts.propensity_curve(rows, raw, [0.8, 0.4, 0.2, 0.1], charts.WIDE, log=False)
    active, hollow, guess, other, clicks, truth = (
        line.get_xydata().tolist() for line in figure.axes[0].get_lines()
    )
    assert active == guess == [[1, 1], [2, 2**-0.5], [4, 0.5]]
    assert hollow == [[4, 0.5]]
    # What another estimator did not identify is not its own.
    assert other == active[:2]
    assert clicks == [[1, 1], [2, 0.5], [4, 0.25]]
    assert truth == [[1, 1], [2, 0.5], [3, 0.25], [4, 0.125]]


def test_the_models_have_what_the_report_needs() -> None:
    """The columns of the fixture, which the report reads, are documented ones of the models."""
    documented: dict[str, set[str]] = {}
    for path in (PROJECT / "models").rglob("_*__models.yml"):
        for model in yaml.safe_load(path.read_text("utf-8")).get("models") or []:
            documented[model["name"]] = {one["name"] for one in model.get("columns") or []}
    for table, columns in SCHEMA.items():
        assert {part.split()[0] for part in columns.split(", ")} <= documented[table], table


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (words.whole(1234567), "1,234,567"),
        (words.whole(None), "–"),
        (words.number(-0.00001), "0.000"),
        (words.number(float("nan")), "–"),
        (words.signed(-0.0187), "−0.0187"),
        (words.signed(0.00001), "0.0000"),
        (words.share(0.9996), ">99.9%"),
        (words.share(0.0001), "<0.1%"),
        (words.share(1), "100.0%"),
        (words.share(0), "0.0%"),
        (words.points(-0.0187), "−1.87 pp"),
        (words.interval(0.1, None), "–"),
        (words.p_value(0.0001), "<0.001"),
        (words.e_value(float("inf")), ">1,000,000"),
        (words.period(DAY, datetime(2026, 3, 31)), "2026-03-01 to 2026-03-31"),
        (words.period(DAY, datetime(2026, 3, 31, 2)), "2026-03-01 00:00 to 2026-03-31 02:00"),
        (words.moment(date(2026, 3, 1)), "2026-03-01"),
        (words.metric_name("snips_ndcg_at_10"), "SNIPS nDCG@10"),
        (words.plain_label("x" * 50), "x" * 39 + "…"),
        (words.sentence("why not."), "why not."),
        (sections.rank_list([3, 5, 6, 8, 9, 10]), "3, 5 and 6, 8 to 10"),
        (words.numbers_of("not json"), []),
        (words.numbers_of('{"a": 1, "b": "x", "c": true}'), [("a", 1.0)]),
    ],
)
def test_words(written: object, expected: object) -> None:
    assert written == expected
