"""What a validation leaves behind: rows in the warehouse, a report for scripts, an exit status."""

import json
import re
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import duckdb
import pytest
import yaml
from click.testing import CliRunner

from conftest import PROJECT
from flywheel.cli import cli
from flywheel.errors import FlywheelError
from flywheel.settings import Settings
from flywheel.validation import (
    RuleResult,
    Skipped,
    ValidationFailed,
    ValidationReport,
    load_suites,
    validate,
)
from flywheel.validation import history as validation_history
from flywheel.validation.schemas import quote, target_schema
from flywheel.validation.suites import SUITES
from patience import PATIENCE
from sql_project import SqlProject
from validation_fixtures import HOSTILE, WAREHOUSE, build_warehouse, change, copy_of


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("clean") / "warehouse.duckdb"
    build_warehouse(path)
    return path


@pytest.fixture
def settings(clean, tmp_path) -> Settings:
    return copy_of(clean, tmp_path)


def rows(settings: Settings, sql: str) -> list[tuple]:
    with duckdb.connect(str(settings.database), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def kept(settings: Settings) -> int:
    """Rows in the history."""
    return rows(settings, f"select count(*) from {validation_history.TABLE}")[0][0]


def made_up(moment: datetime, *, n_results: int = 30, success: bool = True) -> ValidationReport:
    """A report without a run, for what only writes it."""
    results = tuple(
        RuleResult(
            gate="raw",
            table="numbers",
            columns=("i",),
            expectation="expect_column_values_to_be_unique",
            expected="each value once",
            observed="1 of 9 rows (11 %), for example somebody@example.com",
            severity="stop",
            success=success,
            reason="Test",
            expectation_id=f"e{position}",
            observed_value=None,
            unexpected_count=1,
            summary="1 of 9 rows (11 %)",
        )
        for position in range(n_results)
    )
    return ValidationReport(
        gates=("raw",),
        results=results,
        skipped=(),
        data_docs=Path("nowhere"),
        seconds=0.0,
        run_id=f"{moment:%Y%m%dT%H%M%S}",
        run_at=moment,
    )


def test_columns_are_those_that_dbt_creates():
    macro = (PROJECT / "macros/builds/create_state_tables.sql").read_text()
    (listed,) = re.findall(r"'validation_results': '([^']*)'", macro)
    created = [tuple(column.split()) for column in listed.split(",")]
    assert created == list(validation_history.COLUMNS.items())


def test_every_run_adds_a_row_for_each_expectation(settings):
    # The row of the first search holds what a person typed.
    change(
        settings,
        f"insert into fct_weak_labels select * from fct_weak_labels where query = '{HOSTILE}'; "
        "update fct_training_manifest set n_shared_searches = 3; "
        "delete from fct_training_pairs",
    )
    report = validate(settings, gates=["training"], raise_on_stop=False)
    assert report.history_error is None
    assert (
        kept(settings)
        == len(report.results)
        == sum(len(suite.rules) for suite in load_suites(["training"]))
    )
    found = rows(
        settings,
        "select run_id, run_at, gate, table_name, column_name, expectation, severity, status, "
        "is_success, observed, observed_value, unexpected_count, reason "
        f"from {validation_history.TABLE} where not is_success order by table_name, status",
    )
    assert {row[:3] for row in found} == {(report.run_id, report.run_at, "training")}
    told = {(row[3], row[4]): row for row in found}
    assert len(found) == len(report.stops) + len(report.warnings)
    labels = told["fct_weak_labels", "query, doc_id, window_start"]
    # Five documents of that query, each twice; 50 labels and 5 more.
    assert labels[5:12] == (
        "expect_compound_columns_to_be_unique",
        "stop",
        "stop",
        False,
        "10 of 55 rows (18 %)",
        None,
        10,
    )
    assert labels[12].startswith("A document with two labels")
    leak = told["fct_training_manifest", "is_leak_free"]
    assert leak[9:12] == ("1 row", 1.0, 1)
    pairs = told["fct_training_pairs", None]
    assert pairs[9:12] == ("0", 0.0, None)
    # The report shows examples, the history keeps none.
    assert any(HOSTILE[:20] in stop.observed for stop in report.stops)
    everything = str(rows(settings, f"from {validation_history.TABLE}"))
    assert "alert(1)" not in everything
    assert "red shoes" not in everything
    validate(settings, gates=["training"], raise_on_stop=False)
    assert kept(settings) == 2 * len(report.results)
    assert rows(settings, f"select count(distinct run_id) from {validation_history.TABLE}") == [
        (2,)
    ]


def test_errors_are_kept_without_the_values_they_quote(settings):
    result = made_up(datetime(2026, 3, 1)).results[0]
    broken = RuleResult(
        **{name: getattr(result, name) for name in ("gate", "table", "columns", "expectation")},
        **{name: getattr(result, name) for name in ("expected", "observed", "reason")},
        severity="warn",
        success=False,
        error="Could not convert string 'jane@example.com' to INT32",
    )
    assert broken.status == "stop"
    assert broken.kept == "cannot be evaluated: Could not convert string '...' to INT32"


def test_skipped_tables_are_kept_as_skipped(settings):
    report = made_up(datetime(2026, 3, 1), n_results=0)
    suites = [suite for suite in load_suites(["training"]) if suite.table == "fct_training_pairs"]
    skipped = (Skipped("training", "fct_training_pairs", "nothing to train on"),)
    report = ValidationReport(**{**vars(report), "skipped": skipped})
    validation_history.append(settings, report, suites)
    found = rows(
        settings,
        "select expectation_id, status, is_success, observed from "
        f"{validation_history.TABLE} order by expectation_id",
    )
    reason = "the table is empty: nothing to train on"
    assert found == sorted((rule.id, "skipped", None, reason) for rule in suites[0].rules)


def test_since_when_something_fails(settings):
    """The mart over three runs: it failed, held, and fails again."""
    for day, success in ((1, False), (2, True), (3, False), (4, False)):
        report = made_up(datetime(2026, 3, day), n_results=2, success=success)
        validation_history.append(settings, report, [])
    query = SqlProject().model("fct_validation_results")
    query = query.replace("from validation_results", f"from {validation_history.TABLE}")
    found = rows(
        settings,
        f"select day(run_at), day(failing_since), is_newest from ({query}) "
        "where expectation_id = 'e0' order by run_at",
    )
    assert found == [(1, 1, False), (2, None, False), (3, 3, False), (4, 3, True)]


@pytest.mark.parametrize("statements", [1, 3, 20, 32])
def test_a_killed_run_leaves_nothing_and_the_next_one_all(statements, settings):
    """SIGKILL after so many statements of the transaction: schema, table, rows, all rows."""
    validation_history.append(settings, made_up(datetime(2026, 3, 1)), [])
    program = f"""
import os, signal, sys
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from flywheel.settings import Settings
from flywheel.validation import history
from test_validation_history import made_up

class Deadly:
    def __init__(self, connection):
        self.connection, self.left = connection, {statements}
    def begin(self):
        self.connection.begin()
    def execute(self, *arguments):
        self.connection.execute(*arguments)
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

connect = history.connect

@contextmanager
def deadly(*arguments, **options):
    with connect(*arguments, **options) as connection:
        yield Deadly(connection)

history.connect = deadly
root = Path(sys.argv[1])
settings = Settings(root, root / "home", root / "warehouse.duckdb")
history.append(settings, made_up(datetime(2026, 3, 2)), [])
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(settings.project)], capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert kept(settings) == 30
    validation_history.append(settings, made_up(datetime(2026, 3, 2)), [])
    assert kept(settings) == 60


def test_a_row_that_cannot_be_written_takes_the_run_with_it(settings):
    report = made_up(datetime(2026, 3, 1))
    bad = RuleResult(**{**vars(report.results[-1]), "unexpected_count": 2**70})
    report = ValidationReport(**{**vars(report), "results": (*report.results[:-1], bad)})
    with pytest.raises(FlywheelError, match=r"validation_results of .* cannot be written"):
        validation_history.append(settings, report, [])
    with pytest.raises(duckdb.CatalogException):
        kept(settings)
    # The next writer finds the warehouse free.
    assert validation_history.append(settings, made_up(datetime(2026, 3, 1)), []) == 30


@pytest.fixture
def reader(settings):
    """Another process that reads the warehouse, and so keeps writers out."""
    process = subprocess.Popen(
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
    assert process.stdout.readline() == "open\n"
    yield process
    process.communicate()


def test_a_held_warehouse_is_a_sentence_and_a_stop_comes_first(settings, reader, monkeypatch):
    monkeypatch.setenv("FLYWHEEL_LOCK_WAIT", "0.1")
    with pytest.raises(
        FlywheelError,
        match=r"^All gates are open, but the history lacks this run: .* held by another process "
        r".*; close it.* With --no-history nothing is written\.$",
    ):
        validate(settings, gates=["raw"])
    reader.communicate()
    change(settings, "update fct_quarantined_rows set reason = null where quarantine_id = 'q4'")
    with duckdb.connect(str(settings.database), read_only=True):
        pass
    report = validate(settings, gates=["raw"], raise_on_stop=False)
    assert report.history_error is None
    held = ValidationReport(**{**vars(report), "history_error": "It is held."})
    with pytest.raises(ValidationFailed, match=r"gate is shut.*lacks this run: It is held\."):
        held.raise_for_stops()


# --- the command -----------------------------------------------------------------------------


def invoke(settings: Settings, monkeypatch, *arguments: str):
    monkeypatch.setenv("FLYWHEEL_PROJECT", str(PROJECT))
    monkeypatch.setenv("FLYWHEEL_HOME", str(settings.home))
    monkeypatch.setenv("FLYWHEEL_DB", str(settings.database))
    return CliRunner().invoke(cli, ["validate", *arguments])


def test_command_prints_tables_and_stops(settings, monkeypatch):
    change(
        settings,
        f"update fct_quarantined_rows set quarantine_id = '{HOSTILE}\x1b[31m' "
        "where quarantine_id in ('q4', 'q5')",
    )
    done = invoke(settings, monkeypatch, "--gate", "raw")
    assert done.exit_code == 1
    assert done.stderr.startswith("flywheel: The raw gate is shut: table fct_quarantined_rows")
    assert re.search(r"raw +fct_quarantined_rows +stop +4 +0 +1 *\n", done.stdout)
    assert re.search(r"raw +int_log_searches +pass +5 +0 +0 *\n", done.stdout)
    assert "behavior" not in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("stop ")]
    assert "2 of 9 rows (22 %)" in line
    assert "A row that is set aside twice is counted twice" in line
    # Nothing that a person typed steers the terminal.
    assert "\x1b[31m" not in done.stdout + done.stderr
    assert kept(settings) == 31


def test_command_speaks_json(settings, monkeypatch):
    done = invoke(settings, monkeypatch, "--json", "--gate", "raw", "--no-history")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["success"], told["n_expectations"], told["gates"]) == (True, 31, ["raw"])
    first = told["results"][0]
    assert first.keys() >= {"gate", "table", "columns", "expectation", "severity", "status"}
    assert re.fullmatch(r"[0-9a-f]{12}", first["expectation_id"])
    with pytest.raises(duckdb.CatalogException):
        kept(settings)
    change(settings, "update fct_quarantined_rows set source = null")
    done = invoke(settings, monkeypatch, "--json", "--gate", "raw")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["n_stops"] == 1
    assert done.stderr.count("\n") == 1
    done = invoke(settings, monkeypatch, "--gate", "../raw")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no gate named '../raw'; use raw, behavior, training" in done.stderr


def test_no_path_that_does_not_validate_imports_great_expectations():
    program = (
        "import sys\n"
        "import flywheel.cli, flywheel.loop, flywheel.status, flywheel.validation\n"
        "import flywheel.validation.history, flywheel.validation.show\n"
        "from flywheel.validation import load_suites\n"
        "load_suites()\n"
        "heavy = {'great_expectations', 'sqlalchemy', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE)


# --- the target's schema ---------------------------------------------------------------------

PROFILE = """
shop:
  target: "{{ env_var('SHOP_TARGET', 'dev') }}"
  outputs:
    dev: {type: duckdb, threads: "{{ env_var('N', '2') | int }}", schema: dev}
    live: {type: duckdb, schema: "{{ env_var('SHOP_SCHEMA') }}"}
"""


def write_profile(folder: Path, text: str = PROFILE) -> None:
    (folder / "dbt_project.yml").write_text("profile: shop\n")
    (folder / "profiles.yml").write_text(text)


def test_target_schema_is_that_of_the_profile(tmp_path, monkeypatch):
    assert target_schema(tmp_path) == "main"
    assert target_schema(PROJECT) == "main"
    write_profile(tmp_path)
    assert target_schema(tmp_path) == "dev"
    monkeypatch.setenv("SHOP_TARGET", "live")
    monkeypatch.setenv("SHOP_SCHEMA", "shop_eu")
    assert target_schema(tmp_path) == "shop_eu"
    monkeypatch.delenv("SHOP_SCHEMA")
    with pytest.raises(FlywheelError, match=r"profiles\.yml does not say which schema"):
        target_schema(tmp_path)
    monkeypatch.setenv("SHOP_TARGET", "nowhere")
    with pytest.raises(FlywheelError, match="nowhere"):
        target_schema(tmp_path)


def test_suites_follow_the_schema_of_the_target(tmp_path):
    """A schema whose name needs quoting, and only it: no table is left in `main`."""
    name = 'the "live" one'
    settings = Settings(tmp_path, tmp_path / "home", tmp_path / "warehouse.duckdb")
    build_warehouse(settings.database)
    change(settings, f"create schema {quote(name)}; create schema {quote(name + '_intermediate')}")
    for schema, table in rows(
        settings,
        "select schema_name, table_name from duckdb_tables() where schema_name like 'main%'",
    ):
        other = quote(schema.replace("main", name))
        change(settings, f"create table {other}.{table} as from {schema}.{table}")
        change(settings, f"drop table {schema}.{table}")
    change(settings, "drop schema main_intermediate")
    profile = {"shop": {"target": "live", "outputs": {"live": {"schema": name}}}}
    write_profile(tmp_path, yaml.safe_dump(profile))
    report = validate(settings)
    assert [result.sentence for result in report.results if not result.success] == []
    assert {result.gate for result in report.results} == {"raw", "behavior", "training"}
    change(settings, f"drop table {quote(name)}.fct_sessions")
    with pytest.raises(FlywheelError, match=r"needs the table the \"live\" one\.fct_sessions"):
        validate(settings)


def test_no_suite_names_a_schema_of_its_own():
    for path in SUITES.glob("*.yml"):
        assert not re.search(r"\bmain(_\w+)?\.|schema: (?!<schema>)", path.read_text()), path
    assert "main." in WAREHOUSE


def test_an_expectation_keeps_its_id(tmp_path):
    for other in ("main", "elsewhere"):
        ids = [rule.id for suite in load_suites(schema=other) for rule in suite.rules]
        assert len(ids) == len(set(ids))
        assert ids == [rule.id for suite in load_suites() for rule in suite.rules]
    base = {
        "type": "unexpected_rows_expectation",
        "columns": ["i"],
        "kwargs": {"unexpected_rows_query": "select i from {batch} where i < 0"},
        "severity": "stop",
        "reason": "Test.",
    }

    def identity(**changes) -> str:
        content = {"table": "numbers", "gate": "raw", "schema": "<schema>"}
        content["expectations"] = [base | changes]
        (tmp_path / "numbers.yml").write_text(yaml.safe_dump(content))
        ((rule,),) = [suite.rules for suite in load_suites(folder=tmp_path)]
        return rule.id

    same = identity()
    relaid = "select i\nfrom {batch}\nwhere   i < 0\n"
    assert identity(kwargs={"unexpected_rows_query": relaid}) == same
    assert identity(severity="warn", reason="Other.") == same
    assert identity(columns=["j"]) != same
    assert identity(kwargs={"unexpected_rows_query": "select i from {batch}"}) != same
