"""Looks for forgotten people everywhere: in each text of each table, and in each file."""

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from flywheel.files import TEMPORARY_PREFIX
from flywheel.forget import logs
from flywheel.forget.ids import Forgotten, is_distinctive, mention_pattern, word_pattern
from flywheel.forget.rows import LIST
from flywheel.settings import Settings

_IDENTITY_COLUMN = "user|visitor|client|session|search|query_id|activity_id|unit"


@dataclass(frozen=True)
class Trace:
    """What a look found.

    Attributes:
        place: a table, with its schema, or a file.
        n_found: rows, lines or bytes' places that hold a forgotten id.
    """

    place: str
    n_found: int


def search_tables(connection: duckdb.DuckDBPyConnection, forgotten: Forgotten) -> list[Trace]:
    """Look through every text, list and structure of every table, the list of hashes left out.

    A value counts if its hash is on the list and it either is distinctive or stands in a column
    for people, sessions or searches; a text counts if it mentions an id.
    """
    columns: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for schema, table, column, kind in connection.execute(
        """
        select columns.schema_name, columns.table_name, columns.column_name, columns.data_type
        from duckdb_columns() as columns
        inner join duckdb_tables() as tables
            on
                columns.database_name = tables.database_name
                and columns.table_oid = tables.table_oid
        where
            columns.database_name = current_database()
            and not tables.internal and not tables.temporary
        order by all
        """
    ).fetchall():
        columns.setdefault((schema, table), []).append((column, kind))
    traces = []
    for (schema, table), found in columns.items():
        conditions = [
            _condition(column, kind, forgotten.salt)
            for column, kind in found
            if _may_hold_text(kind)
        ]
        if f"{schema}.{table}" == LIST or not conditions:
            continue
        row = connection.execute(
            f'select count(*) from "{schema}"."{table}" where {" or ".join(conditions)}',
            {"pattern": mention_pattern(forgotten.ids)},
        ).fetchone()
        traces.append(Trace(f"{schema}.{table}", row[0] if row else 0))
    return traces


def search_files(settings: Settings, forgotten: Forgotten) -> list[Trace]:
    """Look through every file of the home folder, and the warehouse's.

    Logs are read as builds read them, everything else as bytes. The warehouse compresses what it
    holds: its bytes are searched for distinctive ids as they are, its content by `search_tables`.
    """
    traces = []
    for path in home_files(settings):
        traces.append(Trace(str(path), _in_file(path, settings, forgotten)))
    return traces


def home_files(settings: Settings) -> list[Path]:
    """The warehouse, and all files of the home folder."""
    found = {p for p in settings.home.rglob("*") if p.is_file() and not p.is_symlink()}
    if settings.database.exists():
        found.add(settings.database)
    return sorted(p for p in found if not p.name.startswith(TEMPORARY_PREFIX))


def mentions(path: Path, ids: tuple[str, ...]) -> bool:
    """Whether a file that can be written again holds any id as a word."""
    return re.search(word_pattern(ids).encode(), _bytes(path)) is not None


def _in_file(path: Path, settings: Settings, forgotten: Forgotten) -> int:
    if logs.is_log(path) and (is_raw(path, settings) or path.suffix == ".parquet"):
        return logs.count_lines(path, forgotten)
    if path.suffix in (".duckdb", ".wal"):
        ids = [name for name in forgotten.ids if is_distinctive(name)]
        return sum(_bytes(path).count(name.encode()) for name in ids)
    return len(re.findall(mention_pattern(forgotten.ids).encode(), _bytes(path)))


def is_raw(path: Path, settings: Settings) -> bool:
    """Whether a log file of the home folder is data, not something that the project wrote."""
    made = ("models", "deployments", "target", "logs", "data_docs", "great_expectations")
    if not path.is_relative_to(settings.home):
        return False
    *folders, name = path.relative_to(settings.home).parts
    is_state = not folders and name.endswith(".json")
    return not is_state and not any(folder in made for folder in folders)


def _bytes(path: Path) -> bytes:
    data = path.read_bytes()
    try:
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError):
        return data


def _may_hold_text(kind: str) -> bool:
    return any(word in kind for word in ("VARCHAR", "JSON", "BLOB"))


def _condition(column: str, kind: str, salt: str) -> str:
    name = f'"{column}"'
    if kind != "VARCHAR":
        return f"coalesce(regexp_matches(cast({name} as varchar), $pattern), false)"
    listed = f"md5('{salt}-' || {name}) in (select id_hash from {LIST} where kind <> 'text')"
    if re.search(_IDENTITY_COLUMN, column) is None:
        listed += f" and length({name}) >= 8 and regexp_matches({name}, '[0-9@]')"
    return (
        f"coalesce(length({name}) <= 500 and {listed}, false) "
        f"or coalesce(regexp_matches({name}, $pattern), false)"
    )


def remaining(traces: list[Trace]) -> Iterator[Trace]:
    """The places that still hold something."""
    return (trace for trace in traces if trace.n_found)
