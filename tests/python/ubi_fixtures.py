"""Builders of UBI and flat logs, as plain documents that a test writes where it wants them."""

import csv
import gzip
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

Document = dict[str, Any]
OMIT: Any = object()
"""Passed for a field that the document shall not have at all (None writes a null)."""


def query(query_id: str, user_query: Any, at: Any, *, hits: Any = OMIT, **fields: Any) -> Document:
    """A UBI query document; `hits` is the list of documents returned."""
    return _kept(
        query_id=query_id,
        user_query=user_query,
        timestamp=at,
        query_response_hit_ids=hits,
        **fields,
    )


def event(
    action_name: str,
    query_id: str,
    at: Any,
    *,
    doc: Any = OMIT,
    ordinal: Any = OMIT,
    attributes: Any = OMIT,
    **fields: Any,
) -> Document:
    """A UBI event document.

    `doc` and `ordinal` go where the standard puts them; `attributes` are further event
    attributes, or None for `event_attributes: null`.
    """
    event_attributes: Any = attributes
    if attributes is OMIT or isinstance(attributes, Mapping):
        event_attributes = _kept(
            object=OMIT if doc is OMIT else {"object_id": doc},
            position=OMIT if ordinal is OMIT else {"ordinal": ordinal},
        ) | ({} if attributes is OMIT else dict(attributes))
    return _kept(
        action_name=action_name,
        query_id=query_id,
        timestamp=at,
        event_attributes=event_attributes,
        **fields,
    )


def flat_row(
    search_id: Any, doc_id: Any, rank: Any, clicked: Any, *, at: Any, query: Any, **fields: Any
) -> Document:
    """A row of a flat log: one document shown."""
    return _kept(
        search_id=search_id,
        searched_at=at,
        query=query,
        doc_id=doc_id,
        rank=rank,
        clicked=clicked,
        **fields,
    )


def lines(documents: Iterable[Document]) -> str:
    """Documents as NDJSON."""
    return "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)


def write_ndjson(path: Path, documents: Iterable[Document]) -> Path:
    """Write NDJSON, compressed if the name ends in .gz or .zst."""
    return write_bytes(path, lines(documents).encode())


def write_bulk(path: Path, indexed: Iterable[tuple[str, Document]], *, verb: str = "index") -> Path:
    """Write the bulk format: an action line before each document."""
    written = ([{verb: {"_index": index}}, document] for index, document in indexed)
    return write_ndjson(path, (line for pair in written for line in pair))


def write_tabbed(path: Path, indexed: Iterable[tuple[str, Document]]) -> Path:
    """Write `index, tab, document` lines."""
    text = "".join(f"{index}\t{json.dumps(document)}\n" for index, document in indexed)
    return write_bytes(path, text.encode())


def write_csv(path: Path, rows: Sequence[Document], *, delimiter: str = ",") -> Path:
    """Write rows as CSV; the columns are those of all rows, in order of appearance."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return write_bytes(path, text.getvalue().encode())


def write_parquet(path: Path, select: str) -> Path:
    """Write the rows of a DuckDB query as Parquet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        target = str(path).replace("'", "''")
        connection.execute(f"copy ({select}) to '{target}' (format parquet)")
    return path


def write_bytes(path: Path, data: bytes) -> Path:
    """Write bytes, compressed if the name ends in .gz or .zst."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        data = gzip.compress(data, mtime=0)
    if path.suffix == ".zst":
        data = compress_zstd(data)
    path.write_bytes(data)
    return path


def compress_zstd(data: bytes) -> bytes:
    """Compress as one Zstandard stream."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def _kept(**fields: Any) -> Document:
    return {name: value for name, value in fields.items() if value is not OMIT}
