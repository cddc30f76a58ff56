"""The declared suites against a small warehouse: clean, and with one thing broken at a time."""

import html
import json
import math
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
import yaml

from flywheel.errors import FlywheelError
from flywheel.settings import Settings
from flywheel.validation import (
    GATES,
    ValidationFailed,
    ValidationReport,
    load_suites,
    validate,
)
from flywheel.validation.suites import SUITES
from patience import PATIENCE
from validation_fixtures import HOSTILE, build_warehouse, change, copy_of


@dataclass(frozen=True)
class Corruption:
    """One thing broken, and what the message must name."""

    gate: str
    sql: str
    table: str
    column: str
    observed: str


def corruption(name: str, gate: str, sql: str, table: str, column: str, observed: str):
    return pytest.param(Corruption(gate, sql, table, column, observed), id=name)


STOPS = [
    corruption(
        "lost input rows",
        "raw",
        "update fct_input_reconciliation set n_used = 90 where event_date = '2026-01-02'",
        "fct_input_reconciliation",
        "n_rows, n_used, n_merged, n_quarantined",
        "1",
    ),
    corruption(
        "rows without a day counted twice",
        "raw",
        "insert into fct_input_reconciliation select * from fct_input_reconciliation "
        "where event_date is null",
        "fct_input_reconciliation",
        "source, source_file, event_date",
        "1 row, for example source ubi_queries",
    ),
    corruption(
        "mostly quarantined",
        "raw",
        "update fct_input_reconciliation set n_used = 50, n_quarantined = 100 "
        "where source = 'ubi_events'",
        "fct_input_reconciliation",
        "n_quarantined",
        "1",
    ),
    corruption(
        "no input",
        "raw",
        "delete from fct_input_reconciliation",
        "fct_input_reconciliation",
        "(table)",
        "0",
    ),
    corruption(
        "no reason for quarantine",
        "raw",
        "update fct_quarantined_rows set reason = null where quarantine_id = 'q4'",
        "fct_quarantined_rows",
        "reason",
        "1 of 9 rows (11 %)",
    ),
    corruption(
        "zero-based rank",
        "raw",
        "update main_intermediate.int_log_impressions set rank = rank - 1 where search_id = 's7'",
        "int_log_impressions",
        "rank",
        "1 of 950 rows",
    ),
    corruption(
        "impression of an unknown search",
        "raw",
        "delete from main_intermediate.int_log_searches where search_id = 's3'",
        "int_log_impressions",
        "search_id",
        "5",
    ),
    corruption(
        "search twice",
        "behavior",
        "insert into fct_searches select * from fct_searches where search_id = 's5'",
        "fct_searches",
        "search_id",
        "2 of 201 rows (1 %), for example s5",
    ),
    corruption(
        "bot unknown",
        "behavior",
        "update fct_searches set is_bot = null where search_id in ('s5', 's6')",
        "fct_searches",
        "is_bot",
        "2 of 200 rows (1 %)",
    ),
    corruption(
        "clicked more than shown",
        "behavior",
        "update fct_searches set n_shown = 0 where search_id = 's7'",
        "fct_searches",
        "n_shown, n_clicks",
        "1 of 200 rows",
    ),
    corruption(
        "session unknown",
        "behavior",
        "update fct_searches set session_id = 'nowhere' where search_id = 's7'",
        "fct_searches",
        "session_id",
        "1",
    ),
    corruption(
        "document twice in a search",
        "behavior",
        "update fct_impressions set doc_id = 'd1' where search_id = 's5' and doc_id = 'd2'",
        "fct_impressions",
        "search_id, doc_id",
        "2 of 950 rows",
    ),
    corruption(
        "negative dwell",
        "behavior",
        "update fct_impressions set dwell_seconds = -1 where search_id = 's0' and rank = 1",
        "fct_impressions",
        "dwell_seconds",
        "1 of 950 rows",
    ),
    corruption(
        "bot in the impressions",
        "behavior",
        "update fct_searches set is_bot = true, bot_reasons = ['rate'] where search_id = 's9'",
        "fct_impressions",
        "search_id",
        "5",
    ),
    corruption(
        "clicks only",
        "behavior",
        "delete from fct_impressions where clicked = 0",
        "fct_impressions",
        "clicked",
        "1",
    ),
    corruption(
        "click before its search",
        "behavior",
        "update fct_impressions set clicked_at = clicked_at - interval 1 hour "
        "where search_id = 's0' and rank = 1",
        "fct_impressions",
        "clicked_at, searched_at",
        "1",
    ),
    corruption(
        "session ends before it starts",
        "behavior",
        "update fct_sessions set ended_at = started_at - interval 1 second where session_id = 'n3'",
        "fct_sessions",
        "ended_at, started_at",
        "1 of 40 rows (2.5 %)",
    ),
    corruption(
        "column gone",
        "behavior",
        "alter table fct_sessions drop column is_success",
        "fct_sessions",
        "is_success",
        "does not exist",
    ),
    corruption(
        "two active propensities",
        "training",
        "update fct_position_propensities set is_active = true "
        "where estimator = 'ipf' and rank = 2",
        "fct_position_propensities",
        "is_active",
        "1",
    ),
    corruption(
        "rank 1 is not 1",
        "training",
        "update fct_position_propensities set propensity = 0.95 where is_active and rank = 1",
        "fct_position_propensities",
        "propensity",
        "1",
    ),
    corruption(
        "positive among its negatives",
        "training",
        "update fct_training_pairs set negative_docs = ['d9', positive_doc] "
        "where query = 'red shoes 1' and positive_doc = 'd1'",
        "fct_training_pairs",
        "positive_doc, negative_docs",
        "1",
    ),
    corruption(
        "weight of zero",
        "training",
        "update fct_training_pairs set weight = 0 "
        "where query = 'red shoes 1' and positive_doc = 'd1'",
        "fct_training_pairs",
        "weight",
        "1",
    ),
    corruption(
        "two positives in a group",
        "training",
        "update fct_training_groups set is_positive = 1 where row_order <= 5",
        "fct_training_groups",
        "is_positive",
        "1",
    ),
    corruption(
        "a clipped weight of zero",
        "training",
        "update fct_training_groups set clipped_weight = 0 where group_id = "
        "(select min(group_id) from fct_training_groups)",
        "fct_training_groups",
        "weight, clipped_weight",
        "clipped_weight 0;",
    ),
    corruption(
        "features from the future",
        "training",
        "update fct_training_groups set feature_date = date '2026-01-04' where row_order = 3",
        "fct_training_groups",
        "feature_date",
        "1",
    ),
    corruption(
        "evaluation inside the training window",
        "training",
        "update fct_training_manifest set evaluation_start = timestamp '2026-01-03'",
        "fct_training_manifest",
        "window_end, embargo_end, evaluation_start",
        "1",
    ),
    corruption(
        "a leak was counted",
        "training",
        "update fct_training_manifest set n_shared_searches = 3",
        "fct_training_manifest",
        "is_leak_free",
        "n_shared_searches 3",
    ),
    corruption(
        "more clicks than impressions",
        "training",
        "update fct_weak_labels set n_clicks = n_impressions + 1 "
        "where query = 'red shoes 1' and doc_id = 'd1'",
        "fct_weak_labels",
        "n_impressions, n_clicks",
        "1 of 50 rows (2 %)",
    ),
    corruption(
        "trainable without pairs",
        "training",
        "delete from fct_training_pairs",
        "fct_training_pairs",
        "(table)",
        "0",
    ),
]


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> Path:
    """A clean warehouse file, never changed: tests copy it."""
    path = tmp_path_factory.mktemp("clean") / "warehouse.duckdb"
    build_warehouse(path)
    return path


@pytest.fixture
def settings(clean, tmp_path) -> Settings:
    return copy_of(clean, tmp_path)


@pytest.fixture(scope="module")
def clean_run(clean, tmp_path_factory) -> tuple[ValidationReport, list[tuple[int, int, str]]]:
    steps: list[tuple[int, int, str]] = []
    settings = copy_of(clean, tmp_path_factory.mktemp("run"))
    report = validate(settings, on_progress=lambda *step: steps.append(step))
    return report, steps


def test_clean_warehouse_opens_every_gate(clean_run):
    report, _ = clean_run
    assert [result.sentence for result in report.results if not result.success] == []
    assert report.skipped == ()
    assert {result.gate for result in report.results} == set(GATES)
    declared = [(s.gate, s.table, r.type) for s in load_suites() for r in s.rules]
    assert [(r.gate, r.table, r.expectation) for r in report.results] == declared
    assert json.loads(json.dumps(report.to_dict()))["success"] is True


def test_progress_counts_up_to_the_end(clean_run):
    _, steps = clean_run
    assert [step[0] for step in steps] == [0, 1, 2, 3, 4, 5]
    assert {step[1] for step in steps} == {5}


@pytest.mark.parametrize("broken", STOPS)
def test_one_corruption_shuts_its_gate(broken, settings):
    change(settings, broken.sql)
    # The table's own suite only, for speed; the whole gate judges the same rules.
    folder = settings.project / "suites"
    folder.mkdir()
    shutil.copy(SUITES / f"{broken.table}.yml", folder)
    with pytest.raises(ValidationFailed) as raised:
        validate(settings, gates=[broken.gate], suites_folder=folder)
    named = [stop for stop in raised.value.report.stops if stop.column == broken.column]
    assert named, str(raised.value)
    stop = named[0]
    assert broken.observed in (stop.error or stop.observed)
    message = str(raised.value)
    assert message.startswith(f"The {broken.gate} gate is shut: table {broken.table}")
    assert str(settings.home / "data_docs" / "index.html") in message
    assert "\n" not in message
    for word in (stop.table, stop.expectation, *stop.columns):
        assert word in stop.sentence


def test_the_whole_gate_names_the_first_of_several_stops(settings):
    change(settings, "update fct_searches set is_bot = null where search_id = 's5'")
    change(settings, "update fct_sessions set is_success = null, is_bot = null")
    with pytest.raises(
        ValidationFailed,
        match=r"^The behavior gate is shut: table fct_searches, column is_bot: "
        r"expect_column_values_to_not_be_null \(never null\) fails with 1 of 200 rows \(0.5 %\): "
        r"an unknown agent .* \(and 2 more\); open .*index\.html .* validate again\.$",
    ):
        validate(settings, gates=["behavior"])


def test_warning_is_told_and_shuts_nothing(settings):
    change(settings, "update fct_searches set is_bot = true, bot_reasons = ['rate']")
    change(settings, "delete from fct_impressions where search_id <> 's0'")
    change(
        settings, "update fct_searches set is_bot = false, bot_reasons = [] where search_id = 's0'"
    )
    report = validate(settings, gates=["behavior"])
    assert report.success
    told = {(warning.table, warning.column): warning for warning in report.warnings}
    assert set(told) == {("fct_searches", "is_bot")}
    # 199 of the 200 searches.
    assert "bot_share 0.995" in told["fct_searches", "is_bot"].observed
    n_rules = len(report.results)
    assert report.sentence().startswith(f"{n_rules - 1} of {n_rules} expectations hold, 1 to look")
    assert "warn" in report.data_docs.read_text()


def test_stop_can_be_returned_instead_of_raised(settings):
    change(settings, "update fct_searches set user_id = null where search_id = 's3'")
    report = validate(settings, gates=["behavior"], raise_on_stop=False)
    assert not report.success
    assert [(stop.table, stop.column) for stop in report.stops] == [("fct_searches", "user_id")]
    (told,) = [result for result in report.to_dict()["results"] if not result["success"]]
    assert told["severity"] == "stop"
    assert told["observed"] == "1 of 200 rows (0.5 %)"


def test_untrainable_log_skips_its_empty_tables(settings):
    change(settings, "delete from fct_training_pairs; delete from fct_training_groups")
    change(
        settings,
        "update fct_training_manifest set is_trainable = false, "
        "not_trainable_reason = 'too few clicks', n_pairs = 0, n_groups = 0, n_rows = 0",
    )
    report = validate(settings, gates=["training"])
    assert {skip.table for skip in report.skipped} == {"fct_training_pairs", "fct_training_groups"}
    assert "fct_weak_labels" in {result.table for result in report.results}
    assert "fct_position_propensities" in {result.table for result in report.results}
    (warning,) = report.warnings
    assert "too few clicks" in warning.observed
    assert "nothing to train on yet" in report.data_docs.read_text()


def test_missing_table_and_missing_warehouse_are_named(settings):
    change(settings, "drop table fct_sessions")
    with pytest.raises(FlywheelError, match=r"needs the table main\.fct_sessions.*flywheel build"):
        validate(settings, gates=["behavior"])
    nowhere = Settings(settings.project, settings.home, settings.project / "none.duckdb")
    with pytest.raises(FlywheelError, match="There is no warehouse"):
        validate(nowhere)
    with pytest.raises(FlywheelError, match="no gate named 'behaviour'"):
        validate(settings, gates=["behaviour"])


def test_data_docs_escape_what_users_typed_and_run_no_code(settings):
    change(
        settings,
        f"update fct_training_pairs set negative_docs = [positive_doc] where query = '{HOSTILE}';"
        f"insert into fct_training_pairs select * from fct_training_pairs "
        f"where query = '{HOSTILE}'",
    )
    report = validate(settings, gates=["training"], raise_on_stop=False)
    assert len(report.stops) == 2
    site = report.data_docs.parent
    pages = {path: path.read_text() for path in site.rglob("*.html")}
    (result,) = [path for path in pages if path.name == "warehouse-fct_training_pairs.html"]
    for path in (report.data_docs, result):
        assert html.escape(HOSTILE) in pages[path]
    for text in pages.values():
        assert "<script" not in text.lower()
        assert "<u>" not in text
        assert not re.search(r'(src|href)="https?://', text)
        assert text.count("Content-Security-Policy") == 1


def test_data_docs_keep_the_newest_result_of_every_gate(settings):
    change(settings, "update fct_impressions set rank = 0 where search_id = 's5' and rank = 3")
    report = validate(settings, gates=["behavior"], raise_on_stop=False)
    change(settings, "update fct_impressions set rank = 3 where search_id = 's5' and rank = 0")
    validate(settings, gates=["raw"])
    index = report.data_docs.read_text()
    assert "20 of 21 hold" in index
    assert "not judged yet" in index
    validate(settings, gates=["behavior"])
    index = report.data_docs.read_text()
    assert "21 of 21 hold" in index
    assert "20 of 21 hold" not in index
    for link in re.findall(r'href="([^"]+)"', index):
        assert (report.data_docs.parent / link).exists(), link
    assert len(list(report.data_docs.parent.rglob("warehouse-fct_impressions.html"))) == 1


def test_without_history_the_warehouse_is_only_read(settings, monkeypatch):
    before = settings.database.read_bytes()
    connect = duckdb.connect
    modes = []

    def record(database, read_only=False, **options):
        modes.append(read_only)
        return connect(database, read_only=read_only, **options)

    monkeypatch.setattr(duckdb, "connect", record)
    # Another process that reads the file would keep a writer out.
    reader = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); "
            "print('open', flush=True); sys.stdin.read()",
            str(settings.database),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert reader.stdout.readline() == "open\n"
        validate(settings, gates=["raw"], keep_history=False)
    finally:
        reader.communicate()
    assert modes
    assert all(modes)
    assert settings.database.read_bytes() == before
    # Nothing stays open behind the caller's back: a writer gets in at once.
    monkeypatch.undo()
    change(settings, "create table another (id integer)")


def test_odd_paths(clean, tmp_path):
    folder = tmp_path / "50% of $HOME #1 (it's a café)"
    folder.mkdir()
    report = validate(copy_of(clean, folder), gates=["raw"])
    assert report.success
    assert report.history_error is None
    assert "31 of 31" in report.sentence()
    assert "12 of 12 hold" in report.data_docs.read_text()
    assert [child.name for child in tmp_path.iterdir()] == [folder.name]
    assert {child.name for child in folder.iterdir()} == {"home", "warehouse.duckdb"}


def test_a_path_that_duckdb_cannot_write_to_is_judged_all_the_same(clean, tmp_path):
    """DuckDB takes what follows a question mark for options when it opens its log of changes."""
    folder = tmp_path / "why?"
    folder.mkdir()
    settings = copy_of(clean, folder)
    assert validate(settings, gates=["raw"], keep_history=False).success
    with pytest.raises(FlywheelError, match=r"gates are open, but the history lacks this run: .*"):
        validate(settings, gates=["raw"])


def test_nothing_is_printed_and_great_expectations_is_imported_late(settings):
    program = (
        "import sys, pathlib\n"
        "from flywheel.settings import Settings\n"
        "from flywheel.validation import validate\n"
        "assert 'great_expectations' not in sys.modules\n"
        "assert 'sqlalchemy' not in sys.modules\n"
        "root = pathlib.Path(sys.argv[1])\n"
        "validate(Settings(root, root / 'home', root / 'warehouse.duckdb'), gates=['raw'])\n"
        "assert 'great_expectations' in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(settings.project)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_dialect_counts_in_duckdb_and_fetches_little(tmp_path):
    """A large bad table is counted exactly, and only a few of its rows reach Python."""
    database = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute(
            "create table numbers as select i, i % 4 = 0 as is_fourth from range(50000) t (i)"
        )
    from sqlalchemy import create_engine, text

    from flywheel.validation import dialect

    with dialect.registered() as url:
        engine = create_engine(url, connect_args={"database": str(database)})
        with engine.connect() as connection:
            result = connection.execute(text("select i from numbers"))
        assert len(result.fetchall()) == dialect.MAX_TEXT_QUERY_ROWS
        engine.dispose()
    folder = tmp_path / "suites"
    write_suite(
        folder,
        expectations=[
            rule(
                "unexpected_rows_expectation",
                {"unexpected_rows_query": "select i from {batch} where i >= 100"},
            ),
            # H(p || q) of (1/4, 3/4) against (1/2, 1/2), in nats.
            rule(
                "expect_column_kl_divergence_to_be_less_than",
                {
                    "column": "is_fourth",
                    "partition_object": {"values": [True, False], "weights": [0.5, 0.5]},
                    "threshold": 0.1,
                },
            ),
        ],
    )
    settings = Settings(tmp_path, tmp_path / "home", database)
    report = validate(settings, gates=["raw"], raise_on_stop=False, suites_folder=folder)
    rows, divergence = report.results
    assert rows.observed.startswith("49,900 rows, for example i ")
    expected = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    assert float(divergence.observed) == pytest.approx(expected, rel=1e-3)
    assert not divergence.success


def rule(kind: str, kwargs: dict, **others) -> dict:
    return {"type": kind, "kwargs": kwargs, "severity": "stop", "reason": "Test."} | others


def write_suite(folder: Path, **content) -> Path:
    folder.mkdir(parents=True)
    path = folder / "numbers.yml"
    header = {"table": "numbers", "gate": "raw", "schema": "<schema>"}
    path.write_text(yaml.safe_dump(header | content))
    return path


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"expectations": [], "tabel": "x"}, "unknown key 'tabel'"),
        ({}, "lacks the key 'expectations'"),
        (
            {"expectations": [rule("expect_table_row_count_to_be_between", {}, severity="error")]},
            "severity 'error'; use stop or warn",
        ),
        (
            {"expectations": [{"type": "expect_table_row_count_to_be_between"}]},
            "lacks the key 'reason'",
        ),
        ({"expectations": [], "gate": "behaviour"}, "gate 'behaviour'; use raw, behavior"),
        ({"expectations": [], "table": "letters"}, "is about letters; name the file after"),
        (
            {"expectations": [rule("expect_table_row_count_to_be_between", {})] * 2},
            "expect_table_row_count_to_be_between stands twice",
        ),
        (
            {"expectations": [], "may_be_empty": {"when": "select true"}},
            "may_be_empty lacks the key 'reason'",
        ),
    ],
)
def test_malformed_suite_is_named(tmp_path, content, complaint):
    path = write_suite(tmp_path / "suites", **content)
    with pytest.raises(FlywheelError, match=re.escape(complaint)) as raised:
        load_suites(["raw"], tmp_path / "suites")
    assert str(path) in str(raised.value)


def test_unknown_expectation_is_named(tmp_path):
    database = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute("create table numbers as select 1 as i")
    path = write_suite(tmp_path / "suites", expectations=[rule("expect_a_miracle", {})])
    with pytest.raises(FlywheelError, match="expect_a_miracle") as raised:
        validate(
            Settings(tmp_path, tmp_path / "home", database),
            gates=["raw"],
            suites_folder=tmp_path / "suites",
        )
    assert str(path) in str(raised.value)


def test_every_rule_says_why_and_every_query_reads_its_batch():
    for suite in load_suites():
        assert suite.description.endswith(".")
        for each in suite.rules:
            assert len(each.reason) > 20, (suite.name, each.type)
            query = each.kwargs.get("unexpected_rows_query")
            if query is not None:
                assert "{batch}" in query
                assert each.columns, (suite.name, query)
