"""The data test required_columns: it names each column with nulls, and reads the table once."""

import re
from pathlib import Path
from types import SimpleNamespace

import duckdb
import jinja2
import pytest

from conftest import PROJECT
from flywheel.dbt import _failure_sentence
from flywheel.settings import Settings

COLUMNS = ("thing_id", "level", "split")


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    """A table without nulls where none may be; `note` may hold some."""
    with duckdb.connect() as opened:
        opened.execute("create table things (thing_id text, level int, split boolean, note text)")
        opened.execute("insert into things values ('a', 0, false, null), ('', 2, true, null)")
        yield opened


def rendered(*columns: str) -> str:
    """The query as dbt makes it: a generic test is a macro under another word."""
    text = (PROJECT / "tests" / "generic" / "required_columns.sql").read_text(encoding="utf-8")
    text = re.sub(r"{% (end)?test\b", r"{% \1macro", text)
    module = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(text).module
    return str(module.required_columns("things", list(columns)))


def failures(connection: duckdb.DuckDBPyConnection, *columns: str) -> dict[str, int]:
    """Nulls by column, as the failing rows tell them; dbt takes the rows as those of a subquery."""
    rows = connection.execute(f"select * from ({rendered(*columns)}) as failures").fetchall()
    assert len(dict(rows)) == len(rows)
    return dict(rows)


def test_a_table_without_nulls_passes(connection: duckdb.DuckDBPyConnection) -> None:
    assert failures(connection, *COLUMNS) == {}


def test_each_column_with_nulls_is_named(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("insert into things values (null, 3, null, 'x'), ('c', 4, null, 'y')")
    assert failures(connection, *COLUMNS) == {"thing_id": 1, "split": 2}
    assert failures(connection, "level") == {}
    assert failures(connection, "level", "note") == {"note": 2}


def test_a_column_of_nulls_alone_is_named(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("update things set level = null")
    assert failures(connection, *COLUMNS) == {"level": 2}


def test_a_table_without_rows_passes(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("delete from things")
    assert failures(connection, *COLUMNS) == {}


def test_the_table_is_read_once(connection: duckdb.DuckDBPyConnection) -> None:
    # Without nulls DuckDB answers from its statistics, and reads nothing.
    connection.execute("insert into things values (null, null, null, null)")
    ((_, plan),) = connection.execute(f"explain {rendered(*COLUMNS)}").fetchall()
    assert plan.count("things") == 1, plan


def test_a_build_that_fails_names_the_columns(tmp_path: Path) -> None:
    settings = Settings(PROJECT, tmp_path, tmp_path / "warehouse.duckdb")
    duckdb.connect(str(settings.database)).close()
    failure = SimpleNamespace(
        status="fail",
        failures=2,
        message="Got 2 results, configured to fail if != 0",
        node=SimpleNamespace(
            name="required_columns_fct_things",
            resource_type="test",
            original_file_path="models/things.yml",
            test_metadata=SimpleNamespace(name="required_columns"),
            compiled_code="values ('user_id', 2), ('is_bounce', 1)",
        ),
    )
    assert _failure_sentence([failure], settings) == (
        "Data test required_columns_fct_things found nulls in user_id (2 rows), is_bounce (1 row); "
        "mend the input or the model, or take the column from the list in models/things.yml."
    )
    failure.node.test_metadata.name = "unique"
    assert "found 2 rows that break its rule" in _failure_sentence([failure], settings)
