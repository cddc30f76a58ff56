"""A SQLAlchemy dialect that lets Great Expectations push its work down to DuckDB.

Great Expectations reads a result after it has given the connection back, and DuckDB drops a
pending result as soon as its connection does anything else; then every expectation dies with
"list index out of range". This dialect is duckdb-engine's with one difference that matters: each
small result is buffered when its statement ends. The aggregation itself stays in DuckDB.

Importing this module imports SQLAlchemy and duckdb-engine: do it inside a function.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import duckdb
import duckdb_engine
from sqlalchemy import pool
from sqlalchemy.dialects import registry
from sqlalchemy.engine import Connection
from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy
from sqlalchemy.engine.url import URL
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.types import NullType, TypeEngine

SCHEME = "duckdb+flywheel"

# Great Expectations reads at most 200 rows of a query somebody wrote (its MAX_RESULT_RECORDS) and
# counts the rest in SQL, so a query that returns a whole bad table must not be copied to Python.
MAX_TEXT_QUERY_ROWS = 1_000


class BufferedExecutionContext(duckdb_engine.Dialect.execution_ctx_cls):
    """Reads a statement's result before the connection can be used for anything else."""

    def post_exec(self) -> None:
        """Swap in a fetch strategy that holds the rows."""
        super().post_exec()
        if self.cursor.description is None:
            return
        if isinstance(self.invoked_statement, TextClause):
            rows = self.cursor.fetchmany(MAX_TEXT_QUERY_ROWS)
        else:
            rows = self.cursor.fetchall()
        self.cursor_fetch_strategy = FullyBufferedCursorFetchStrategy(
            self.cursor, initial_buffer=rows
        )


class FlywheelDialect(duckdb_engine.Dialect):
    """duckdb-engine on an existing file, opened read-only, in UTC, with buffered results."""

    driver = "flywheel"
    execution_ctx_cls = BufferedExecutionContext
    supports_statement_cache = False
    opened: ClassVar[list[duckdb.DuckDBPyConnection]] = []

    @classmethod
    def get_pool_class(cls, url: URL) -> type[pool.Pool]:
        """A plain pool: the warehouse is always a file."""
        return pool.QueuePool

    def connect(self, *args: Any, database: str, **_: Any) -> duckdb_engine.ConnectionWrapper:
        """Open the file read-only, with the same settings as `flywheel.warehouse.connect`.

        DuckDB refuses two connections of one process to one file when their settings differ,
        so duckdb-engine's own settings (a user agent) are left out.
        """
        connection = duckdb.connect(database, read_only=True)
        connection.execute("set TimeZone = 'UTC'")
        # As in profiles.yml: uniqueness over a large table would else take most of the machine.
        limit = os.environ.get("FLYWHEEL_MEMORY", "2GB").replace("'", "")
        connection.execute(f"set memory_limit = '{limit}'")
        self.opened.append(connection)
        return duckdb_engine.ConnectionWrapper(connection)

    def get_columns(
        self, connection: Connection, table_name: str, schema: str | None = None, **_: Any
    ) -> list[dict[str, Any]]:
        """Columns from DuckDB's own catalog.

        The inherited query goes through the emulated `pg_catalog`, which sees the default schema
        only.
        """
        rows = connection.exec_driver_sql(
            "select column_name, data_type, is_nullable from duckdb_columns() "
            "where table_name = $1 and schema_name = $2 and database_name = current_database() "
            "order by column_index",
            (str(table_name), schema or "main"),
        ).fetchall()
        if not rows:
            raise NoSuchTableError(f"{schema or 'main'}.{table_name}")
        return [
            {"name": name, "type": self._type(type_name), "nullable": nullable, "default": None}
            for name, type_name, nullable in rows
        ]

    def get_pk_constraint(
        self, connection: Connection, table_name: str, schema: str | None = None, **_: Any
    ) -> dict[str, Any]:
        """No key: the suites declare what is unique."""
        return {"constrained_columns": [], "name": None}

    def _type(self, type_name: str) -> TypeEngine:
        """SQLAlchemy's type of a DuckDB type name; nested types are left untyped."""
        known = None if "[" in type_name else self.ischema_names.get(type_name.lower())
        return known() if known is not None else NullType()


@contextmanager
def registered() -> Iterator[str]:
    """Register the dialect; close every connection it opened at the end.

    Great Expectations keeps its engines for the life of the process, and one reader that stays
    open keeps the next `dbt build` out of the file.

    Yields:
        The connection string to use; the file goes into `connect_args` as `database`, because
        no escaping rule of URLs (`%`, `#`, `?`) then touches its path.
    """
    registry.register(SCHEME.replace("+", "."), __name__, FlywheelDialect.__name__)
    try:
        yield f"{SCHEME}://"
    finally:
        while FlywheelDialect.opened:
            FlywheelDialect.opened.pop().close()
