"""Takes a person's lines out of raw log files; every other line stays, byte for byte."""

import csv
import gzip
import io
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from flywheel.errors import FlywheelError
from flywheel.files import atomic_path
from flywheel.forget.ids import Forgotten

_LOG = re.compile(r"[.](ndjson|jsonl|json|csv|parquet)([.](gz|zst))?$", re.IGNORECASE)
_INDEX = re.compile(r"^[A-Za-z0-9_.-]+\t")


def is_log(path: Path) -> bool:
    """Whether a file's name is one of those that builds read as logs."""
    return _LOG.search(path.name) is not None


def count_lines(path: Path, forgotten: Forgotten) -> int:
    """How many lines (or Parquet rows) of a file are a forgotten person's.

    Raises:
        FlywheelError: the file cannot be read.
    """
    with _explained(path):
        if path.name.lower().endswith(".parquet"):
            return sum(keep.count(False) for _, keep in _parquet(path, forgotten))
        with _read(path) as stream:
            return sum(not keep for _, keep in _records(path, stream, forgotten))


def remove_lines(path: Path, forgotten: Forgotten, *, before: Callable[[], None]) -> int:
    """Write a file anew without a person's lines; its time of modification stays.

    Args:
        path: NDJSON, CSV (plain, gzip or Zstandard) or Parquet.
        forgotten: whose lines.
        before: called once, before the file is replaced, if it has to be.

    Returns:
        Lines removed; 0 leaves the file as it is.

    Raises:
        FlywheelError: the file cannot be read.
    """
    n_lines = count_lines(path, forgotten)
    if n_lines == 0:
        return 0
    times = path.stat()
    with _explained(path), atomic_path(path) as temporary:
        if path.name.lower().endswith(".parquet"):
            _write_parquet(path, temporary, forgotten)
        else:
            with _read(path) as stream, _write(path, temporary) as output:
                for text, keep in _records(path, stream, forgotten):
                    if keep:
                        output.write(text)
        os.chmod(temporary, times.st_mode)
        os.utime(temporary, ns=(times.st_atime_ns, times.st_mtime_ns))
        before()
    return n_lines


def _records(path: Path, stream: IO[bytes], forgotten: Forgotten) -> Iterator[tuple[bytes, bool]]:
    """Pieces of a file whose concatenation is the file, and whether each stays."""
    if re.search(r"[.]csv([.]|$)", path.name, re.IGNORECASE):
        yield from _csv_records(stream, forgotten)
        return
    action: bytes | None = None
    for line in stream:
        text = line.decode("utf-8", errors="surrogateescape").strip()
        bare = _INDEX.sub("", text)
        document = _document(bare)
        if action is None and _is_action(document):
            action = line  # half of the row that follows it
            continue
        mine = forgotten.is_mentioned(bare) or (document is not None and forgotten.names(document))
        if action is not None:
            yield action, not mine
            action = None
        yield line, not mine
    if action is not None:
        yield action, True


def _csv_records(stream: IO[bytes], forgotten: Forgotten) -> Iterator[tuple[bytes, bool]]:
    taken: list[bytes] = []

    def lines() -> Iterator[str]:
        for line in stream:
            taken.append(line)
            yield line.decode("utf-8", errors="surrogateescape")

    source = lines()
    header = next(source, None)
    if header is None:
        return
    yield taken.pop(), True
    delimiter = max(",\t;|", key=header.count)
    names = [n.strip().strip('"').strip().lower() for n in header.rstrip("\r\n").split(delimiter)]
    for values in csv.reader(source, delimiter=delimiter):
        record = b"".join(taken)
        taken.clear()
        text = record.decode("utf-8", errors="surrogateescape")
        mine = forgotten.names(dict(zip(names, values, strict=False)))
        yield record, not (mine or forgotten.is_mentioned(text.strip("\r\n")))


def _parquet(path: Path, forgotten: Forgotten) -> Iterator[tuple[pa.Table, list[bool]]]:
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            table = file.read_row_group(number)
            yield (
                table,
                [
                    not (
                        forgotten.names(row)
                        or forgotten.is_mentioned(json.dumps(row, default=str, ensure_ascii=False))
                    )
                    for row in table.to_pylist()
                ],
            )


def _write_parquet(path: Path, temporary: Path, forgotten: Forgotten) -> None:
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        compression = file.metadata.row_group(0).column(0).compression
    with pq.ParquetWriter(temporary, schema, compression=compression) as writer:
        for table, keep in _parquet(path, forgotten):
            writer.write_table(table.filter(pa.array(keep, pa.bool_())))


def _document(text: str) -> dict[str, Any] | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _is_action(document: dict[str, Any] | None) -> bool:
    """A line of the bulk format that only says which index the next line is for."""
    if document is None or "action_name" in document or "query_id" in document:
        return False
    targets = (document.get("index"), document.get("create"))
    return any(isinstance(target, dict) and "_index" in target for target in targets)


@contextmanager
def _read(path: Path) -> Iterator[IO[bytes]]:
    kind = path.suffix.lower()
    if kind == ".gz":
        with gzip.open(path, "rb") as stream:
            yield stream
    elif kind == ".zst":
        with pa.input_stream(str(path), compression="zstd") as raw:
            yield io.BufferedReader(raw)
    else:
        with path.open("rb") as stream:
            yield stream


@contextmanager
def _write(path: Path, temporary: Path) -> Iterator[Any]:
    kind = path.suffix.lower()
    if kind == ".gz":
        with (
            temporary.open("wb") as raw,
            gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as output,
        ):
            yield output
    elif kind == ".zst":
        with pa.output_stream(str(temporary), compression="zstd") as output:
            yield output
    else:
        with temporary.open("wb") as output:
            yield output


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, pa.ArrowException, csv.Error) as error:
        reason = (str(error).splitlines() or ["damaged"])[0].rstrip(".")
        raise FlywheelError(
            f"The file {path} cannot be read ({reason}); mend or delete it, then run again."
        ) from error
