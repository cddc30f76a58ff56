"""Executes the questions of the folder analyses/ as they stand there.

dbt compiles them where it runs. But it needs seconds to start, and all that an analysis asks of it
is where a model's rows are: the warehouse knows that too. A test sees that both give the same SQL.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from flywheel.errors import FlywheelError

Row = dict[str, Any]

_REF = re.compile(r"{{ ref\('(\w+)'\) }}")
_ABSENT = re.compile(r"column named \"(\w+)\"|Referenced column \"(\w+)\"")


def execute(
    connection: duckdb.DuckDBPyConnection, project: Path, names: Sequence[str]
) -> dict[str, list[Row]]:
    """The rows of each analysis, by its name.

    Args:
        connection: the warehouse, open for reading.
        project: the dbt project's folder.
        names: of the analyses, without `.sql`.

    Raises:
        FlywheelError: a table or a column that one reads is not there.
    """
    texts = {name: (project / "analyses" / f"{name}.sql").read_text("utf-8") for name in names}
    places = _places(connection)
    refs = dict.fromkeys(ref for text in texts.values() for ref in _REF.findall(text))
    missing = [ref for ref in refs if ref not in places]
    if missing:
        raise FlywheelError(
            f"The warehouse has no table {_listed(missing)}, which the report reads; "
            "run `flywheel build` until it succeeds, then ask for the report again."
        )
    return {name: _rows(connection, name, compiled(text, places)) for name, text in texts.items()}


def compiled(text: str, places: Mapping[str, str]) -> str:
    """An analysis's SQL, with each `ref` as the place of that model."""
    return _REF.sub(lambda found: places[found[1]], text)


def _rows(connection: duckdb.DuckDBPyConnection, name: str, sql: str) -> list[Row]:
    try:
        cursor = connection.execute(sql)
    except duckdb.BinderException as error:
        absent = _ABSENT.search(str(error))
        if absent is None:
            raise
        raise FlywheelError(
            f"The warehouse has no column {absent[1] or absent[2]}, which analyses/{name}.sql "
            "reads; it was built by another version of the project: run `flywheel build` again."
        ) from error
    columns = [column[0] for column in cursor.description]
    return [dict(zip(columns, values, strict=True)) for values in cursor.fetchall()]


def _places(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Where each model's rows are: marts in the schema itself, intermediate models beside it."""
    return {
        table: f'"{schema}"."{table}"'
        for schema, table in connection.execute(
            "select table_schema, table_name from information_schema.tables where table_schema in "
            "(current_schema(), current_schema() || '_intermediate')"
        ).fetchall()
    }


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
