"""Files of a log: what is in them, and when they arrive."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Row = str | Mapping[str, Any]
"""A line of text, as it shall stand in the file, or a document."""


@dataclass(frozen=True)
class Delivery:
    """One version of one file.

    Attributes:
        name: of the file, in the log's folder; it ends in .ndjson or .parquet.
        rows: lines or documents; Parquet takes documents only.
        arrived: naive UTC; becomes the file's modification time.
    """

    name: str
    rows: tuple[Row, ...]
    arrived: datetime

    def first(self, share: float) -> "Delivery":
        """The file as it was when it held only the first rows, an hour earlier."""
        n_rows = max(1, int(len(self.rows) * share))
        return replace(self, rows=self.rows[:n_rows], arrived=self.arrived - timedelta(hours=1))

    def content(self) -> bytes:
        """The bytes of the file."""
        if self.name.endswith(".parquet"):
            documents = [dict(row) for row in self.rows if not isinstance(row, str)]
            names = list(dict.fromkeys(name for row in documents for name in row))
            columns = {name: [row.get(name) for row in documents] for name in names}
            sink = BytesIO()
            pq.write_table(pa.table(columns), sink)
            return sink.getvalue()
        texts = [row if isinstance(row, str) else json.dumps(row) for row in self.rows]
        return "".join(text + "\n" for text in texts).encode()


def deliver(folder: Path, deliveries: Iterable[Delivery]) -> None:
    """Put files where the path vars look for them, each whole at once."""
    folder.mkdir(parents=True, exist_ok=True)
    for delivery in deliveries:
        path = folder / delivery.name
        partial = path.with_name(f".{path.name}.part")
        partial.write_bytes(delivery.content())
        seconds = delivery.arrived.replace(tzinfo=UTC).timestamp()
        os.utime(partial, (seconds, seconds))
        partial.replace(path)


def empty(folder: Path) -> None:
    """Take every file away."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def by_arrival(
    rows: Iterable[tuple[datetime, Row]],
    *,
    hours: int,
    name: str = "log",
    parquet_every: int = 0,
) -> tuple[Delivery, ...]:
    """Files of the rows that arrived within the same hours, in order of arrival.

    Args:
        rows: time of arrival and content; rows of one file keep their order.
        hours: how long a file takes rows.
        name: how the files' names begin.
        parquet_every: every so many-th file is Parquet, as far as its rows allow; 0 for none.
    """
    length = timedelta(hours=hours)
    start = datetime(2026, 1, 1)
    buckets: dict[int, list[Row]] = {}
    for arrived, row in rows:
        buckets.setdefault((arrived - start) // length, []).append(row)
    deliveries = []
    for position, (bucket, content) in enumerate(sorted(buckets.items())):
        begins = start + bucket * length
        plain = any(isinstance(row, str) for row in content)
        as_parquet = parquet_every and position % parquet_every == 1 and not plain
        suffix = "parquet" if as_parquet else "ndjson"
        deliveries.append(
            Delivery(f"{name}-{begins:%Y%m%dT%H}.{suffix}", tuple(content), begins + length)
        )
    return tuple(deliveries)


def in_one(deliveries: Sequence[Delivery], name: str = "all.ndjson") -> Delivery:
    """The same rows in the same order, in one file that arrived with the last of them."""
    rows = tuple(row for delivery in deliveries for row in delivery.rows)
    return Delivery(name, rows, max(delivery.arrived for delivery in deliveries))
