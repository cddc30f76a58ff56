"""What is really built: tables, columns, exact types, comments and nulls of a DuckDB warehouse."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import duckdb

from flywheel.errors import FlywheelError

_TYPE = re.compile(r'[A-Za-z][A-Za-z0-9_ ,()\[\]"]*')


@dataclass(frozen=True)
class BuiltColumn:
    """A column of the warehouse, its type as DuckDB spells it."""

    name: str
    data_type: str
    comment: str


@dataclass(frozen=True)
class Relation:
    """A table or view of the warehouse, its columns in their order."""

    kind: str
    comment: str
    columns: tuple[BuiltColumn, ...]


Catalog = Mapping[tuple[str, str], Relation]
"""Relations by (schema, name)."""


def read_catalog(connection: duckdb.DuckDBPyConnection) -> Catalog:
    """Read every relation of the warehouse."""
    relations = connection.execute(
        """
        select schema_name, table_name, 'table' as kind, coalesce(comment, '')
        from duckdb_tables()
        where database_name = current_database()
        union all
        select schema_name, view_name, 'view', coalesce(comment, '')
        from duckdb_views()
        where database_name = current_database() and not internal
        """
    ).fetchall()
    columns: dict[tuple[str, str], list[BuiltColumn]] = {}
    for schema, table, name, data_type, comment in connection.execute(
        """
        select schema_name, table_name, column_name, data_type, coalesce(comment, '')
        from duckdb_columns()
        where database_name = current_database() and not internal
        order by schema_name, table_name, column_index
        """
    ).fetchall():
        columns.setdefault((schema, table), []).append(BuiltColumn(name, data_type, comment))
    return {
        (schema, name): Relation(kind, comment, tuple(columns.get((schema, name), ())))
        for schema, name, kind, comment in relations
    }


def count_nulls(
    connection: duckdb.DuckDBPyConnection, schema: str, table: str, columns: Iterable[str]
) -> dict[str, int]:
    """Count the nulls of some columns of a table, in one scan.

    Raises:
        FlywheelError: it is a view that reads what is not there any more.
    """
    names = list(columns)
    if not names:
        return {}
    counts = ", ".join(f"count(*) - count({quoted(name)})" for name in names)
    query = f"select {counts} from {quoted(schema)}.{quoted(table)}"
    try:
        row = connection.execute(query).fetchone()
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        said = str(error).splitlines()[0].rstrip("!.")
        raise FlywheelError(
            f"The view {table} reads what is not there any more ({said}); build again."
        ) from error
    return dict(zip(names, row or (), strict=True))


def quoted(name: str) -> str:
    """The name as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


@cache
def canonical_type(text: str) -> str:
    """A type as DuckDB itself spells it: string and text are VARCHAR, int is INTEGER.

    Raises:
        FlywheelError: DuckDB knows no such type.
    """
    try:
        if not _TYPE.fullmatch(text):
            raise duckdb.ParserException(text)
        with duckdb.connect() as connection:
            row = connection.execute(f"select typeof(cast(null as {text}))").fetchone()
    except duckdb.Error:
        raise FlywheelError(
            f"{text!r} is no type of DuckDB; mend data_type in the YAML (a type with a comma in "
            "it needs quotes in flow style)."
        ) from None
    return str(row[0]) if row else text
