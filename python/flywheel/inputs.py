"""The input preflight: is there something at these paths that a build can read?

It runs before every build, so that a wrong path, a mislabelled file or a missing column costs a
second and one sentence instead of a broken warehouse. It samples the heads of files (and the
tails of Parquet files). Two kinds of file it reads through: compressed ones, because a cut
Zstandard stream is otherwise read as a shorter log without a word, and CSV, because a quote that
nobody closes makes one value of all rows up to the next quote. Rows are never judged here: a row
that cannot be used goes to `fct_quarantined_rows` in SQL.
"""

import csv
import glob
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar, cast

from flywheel.errors import FlywheelError
from flywheel.files import read_yaml

LogFormat = Literal["ubi", "flat"]
T = TypeVar("T")

REQUIRED_FLAT_COLUMNS = ("search_id", "searched_at", "query", "doc_id", "rank", "clicked")
"""Columns without which a flat log says nothing about what was shown and clicked."""

UBI_MARKS = ("query_id", "user_query", "action_name")
"""A document with one of these is taken for a UBI query or event."""

TEXT_TYPES = ("ndjson", "jsonl", "json", "csv")
COMPRESSIONS = ("gz", "zst")
SAMPLED_DOCUMENTS = 100
BINARY_PROBE_BYTES = 64 * 1024
LINES_IN_A_VALUE = 1000
"""A quoted value of more lines than this is a quote that was never closed."""
HEAD_BYTES = 8 * 1024 * 1024
"""How much of a text file's beginning is looked at: room for a hundred documents, a few of them
absurdly long."""

_CHUNK = 1024 * 1024
_PARQUET_MAGIC = b"PAR1"
_LINE_END = re.compile(rb"\r?\n|\r(?!\Z)")
_LONE_CARRIAGE_RETURN = re.compile(rb"\r(?!\n|\Z)")
_MAGIC = {"gz": b"\x1f\x8b", "zst": b"\x28\xb5\x2f\xfd"}
_COMPRESSION_NAMES = {"gz": "gzip", "zst": "Zstandard"}
_ARCHIVE_MAGIC = {
    b"PK\x03\x04": "a zip archive",
    b"BZh": "a bzip2 file",
    b"7z\xbc\xaf": "a 7z file",
}
_NUMERIC_TYPES = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE")


@dataclass(frozen=True)
class InputFile:
    """One file the build will read.

    Attributes:
        path: where it is.
        variable: the dbt var that named it.
        size_bytes: its size on disk.
        n_sampled: documents or rows looked at; 0 for a file without any.
    """

    path: Path
    variable: str
    size_bytes: int
    n_sampled: int


@dataclass(frozen=True)
class InputSummary:
    """What a build is about to read; only made when every check has passed.

    Attributes:
        log_format: `ubi` or `flat`.
        files: the log's files, each once, sorted by path within a var.
        ranking_features: the features files, empty where none is named.
    """

    log_format: LogFormat
    files: tuple[InputFile, ...]
    ranking_features: tuple[InputFile, ...] = field(default=())

    @property
    def size_bytes(self) -> int:
        """Size of the log on disk."""
        return sum(file.size_bytes for file in self.files)

    def sentence(self) -> str:
        """One line for people: how many files of which format, and how large."""
        noun = "file" if len(self.files) == 1 else "files"
        size = f"{self.size_bytes / 1e6:,.1f} MB"
        features = " with ranking features" if self.ranking_features else ""
        return f"{len(self.files)} {self.log_format} {noun}, {size}{features}"


def resolve(path: str, *, root: Path | None = None) -> list[Path]:
    """Turn a file, glob or directory into the files it stands for.

    Args:
        path: a file (of any name), a glob (`**` crosses folders), or a directory, which is
            searched recursively for files of a known type. Hidden files are skipped.
        root: what a relative path starts from; the working directory by default.

    Returns:
        The files, sorted, each once.

    Raises:
        FlywheelError: nothing is there, or a file's name is a pattern itself.
    """
    if "://" in path:
        raise FlywheelError(
            f"{path} is a remote address; copy the log to this machine and name the copy."
        )
    files = _found(path, (root or Path.cwd()).resolve())
    for file in files:
        if glob.has_magic(str(file)):
            raise FlywheelError(
                f"The name of {file} holds a character that patterns use (*, ? or [); rename it."
            )
    return files


def _found(path: str, base: Path) -> list[Path]:
    target = base / Path(path).expanduser()
    if target.is_file():
        return [target]
    if target.is_dir():
        found = sorted(
            file
            for file in target.rglob("*")
            if file.is_file() and not _is_hidden(file.relative_to(target)) and _file_type(file)
        )
        if not found:
            raise FlywheelError(
                f"The directory {path} holds no file of a known type; it needs at least one "
                ".ndjson, .jsonl, .json, .csv or .parquet file (text also as .gz or .zst)."
            )
        return found
    if glob.has_magic(path):
        matches = sorted({Path(match) for match in glob.glob(str(target), recursive=True)})
        found = [file for file in matches if file.is_file()]
        if not found:
            raise FlywheelError(
                f"No file matches {path}; check the pattern, and quote it so that the shell "
                "does not expand it."
            )
        return found
    raise FlywheelError(f"There is no file or directory {path} (looked in {base}); check the path.")


def check(variables: Mapping[str, Any], *, project: Path | None = None) -> InputSummary:
    """Look at everything the vars name, before a build.

    Args:
        variables: dbt vars: `log_format`, `raw_queries`, `raw_events`, `flat_log`,
            `ranking_features`; others are ignored.
        project: the dbt project's folder: relative paths start there, as they do for dbt, and a
            var that is not given takes its default from `dbt_project.yml`.

    Returns:
        The files that will be read.

    Raises:
        FlywheelError: the first thing that would stop the build, in one sentence.
    """
    values = {**_project_vars(project), **variables} if project else dict(variables)
    log_format = values.get("log_format", "ubi")
    if log_format not in ("ubi", "flat"):
        raise FlywheelError(f"log_format is '{log_format}'; it must be ubi or flat.")
    names = ("raw_queries", "raw_events") if log_format == "ubi" else ("flat_log",)
    paths = {name: _path_value(name, values.get(name)) for name in names}
    paths = {name: path for name, path in paths.items() if path}
    if not paths:
        raise FlywheelError(
            f"log_format is {log_format}, but no log is named; "
            f"add --var {names[0]}=PATH (a file, a glob or a directory)."
        )

    check_file = _check_ubi_file if log_format == "ubi" else _check_flat_file
    files: dict[Path, InputFile] = {}
    for name, path in paths.items():
        for file in resolve(path, root=project):
            if file not in files:
                n_sampled = _checked(check_file, file)
                files[file] = InputFile(file, name, file.stat().st_size, n_sampled)
    if not any(file.n_sampled for file in files.values()):
        named = " and ".join(dict.fromkeys(paths.values()))
        raise FlywheelError(f"{named} holds no rows; name a log with at least one search.")

    features = []
    features_path = _path_value("ranking_features", values.get("ranking_features"))
    if features_path:
        for file in resolve(features_path, root=project):
            n_sampled = _checked(_check_features_file, file)
            features.append(InputFile(file, "ranking_features", file.stat().st_size, n_sampled))
    return InputSummary(log_format, tuple(files.values()), tuple(features))


def detect_format(path: str, *, root: Path | None = None) -> LogFormat:
    """Tell whether a log is UBI or flat, from its first file that says so.

    Args:
        path: a file, glob or directory.
        root: what a relative path starts from; the working directory by default.

    Returns:
        `ubi` or `flat`.

    Raises:
        FlywheelError: nothing is there, a file cannot be read, or it is neither.
    """
    seen: dict[str, None] = {}
    files = resolve(path, root=root)
    for file in files:
        names = _checked(_column_names, file)
        lowered = {name.lower() for name in names}
        if {"search_id", "doc_id"} <= lowered:
            return "flat"
        if lowered & set(UBI_MARKS):
            return "ubi"
        seen.update(dict.fromkeys(names))
    if not seen:
        raise FlywheelError(f"{path} holds no rows; name a log with at least one search.")
    raise FlywheelError(
        f"{path} is neither a UBI log (documents with {_listed(UBI_MARKS, 'or')}) nor a flat log "
        f"(columns {_listed(REQUIRED_FLAT_COLUMNS)}); it has {_listed(list(seen))}. "
        "Rename its columns with one select."
    )


# --- one file at a time -------------------------------------------------------------------------


def _check_ubi_file(path: Path) -> int:
    kind = _file_type(path)
    if kind == "csv":
        raise FlywheelError(
            f"{path} is CSV, and UBI is read from NDJSON or Parquet; "
            "if it is a flat log, set --var log_format=flat --var flat_log=PATH."
        )
    if kind == "parquet":
        columns = _parquet_columns(path)
        if not _looks_like_ubi(columns):
            raise FlywheelError(_not_ubi(path, list(columns)))
        return 1
    documents, n_lines = _sampled_documents(path)
    if not n_lines:
        return 0
    _check_line_ends(path)
    if not documents:
        raise FlywheelError(
            f"None of the first {n_lines} lines of {path} is a JSON document; "
            "a UBI log is NDJSON, one document per line."
        )
    if not any(_looks_like_ubi(document) for document in documents):
        raise FlywheelError(_not_ubi(path, _keys(documents)))
    return len(documents)


def _check_flat_file(path: Path) -> int:
    names = _column_names(path)
    if not names:
        return 0
    lowered = {name.lower() for name in names}
    missing = [name for name in REQUIRED_FLAT_COLUMNS if name not in lowered]
    if not missing:
        kind = _file_type(path)
        if kind == "csv":
            _check_csv_rows(path)
        elif kind != "parquet":
            _check_line_ends(path)
        return 1
    if _looks_like_ubi(names) and not {"search_id", "doc_id"} & lowered:
        raise FlywheelError(
            f"{path} looks like a UBI log, not a flat one (it has {_listed(names)}); "
            "set --var log_format=ubi --var raw_queries=PATH --var raw_events=PATH."
        )
    noun = "column" if len(missing) == 1 else "columns"
    raise FlywheelError(
        f"{path} lacks the required {noun} {_listed(missing)}; it has {_listed(names)}. "
        "Rename or add what is missing with one select."
    )


def _check_features_file(path: Path) -> int:
    if _file_type(path) != "parquet":
        raise FlywheelError(
            f"ranking_features names {path}, which is not a .parquet file; write the features as "
            "Parquet with doc_id, numeric columns and, where they depend on it, query."
        )
    columns = _parquet_columns(path)
    lowered = {name.lower(): kind for name, kind in columns.items()}
    if "doc_id" not in lowered:
        raise FlywheelError(
            f"The ranking features {path} lack the column doc_id; they have {_listed(columns)}."
        )
    numeric = [n for n, kind in lowered.items() if n not in ("doc_id", "query") and _numeric(kind)]
    if not numeric:
        raise FlywheelError(
            f"The ranking features {path} have no numeric column beside doc_id and query; they "
            f"have {_listed(columns)}. Add at least one, or set --var ranking_features= (empty)."
        )
    return len(numeric)


def _column_names(path: Path) -> list[str]:
    """Names of a file's columns or, for NDJSON, of the keys in its first documents."""
    kind = _file_type(path)
    if kind == "parquet":
        return list(_parquet_columns(path))
    if kind == "csv":
        return _csv_header(path)
    if kind is None:
        lines = _head_lines(path)
        first = next((line for line in lines if line.strip()), b"")
        if first and not first.lstrip().startswith(b"{") and b"\t{" not in first:
            raise FlywheelError(
                f"{path} is of an unknown type; name it .parquet, .csv or .ndjson after what it is."
            )
    documents, n_lines = _sampled_documents(path)
    if n_lines and not documents:
        raise FlywheelError(
            f"None of the first {n_lines} lines of {path} is a JSON document; "
            "write one document per line, or name the file after what it is."
        )
    return _keys(documents)


def _csv_header(path: Path) -> list[str]:
    lines = _head_lines(path)
    header = next((line for line in lines if line.strip()), b"").decode("utf-8", "replace").strip()
    if not header:
        return []
    rows = [next(csv.reader(io.StringIO(header), delimiter=mark)) for mark in ",\t;|"]
    return max(rows, key=len)


def _check_line_ends(path: Path) -> None:
    """Look for carriage returns of their own in a file whose lines end in CRLF.

    DuckDB's reader loses the character behind one, and the row with it.

    Raises:
        FlywheelError: names the file and the place of the first.
    """
    place, before, is_crlf = 0, b"", False
    with _opened(path, _compression(path)) as stream:
        while chunk := stream.read(_CHUNK):
            block = before + bytes(chunk)
            first = None if is_crlf else _LINE_END.search(block)
            if first and first[0] != b"\r\n":
                return
            is_crlf = is_crlf or first is not None
            lone = _LONE_CARRIAGE_RETURN.search(block)
            if lone:
                raise FlywheelError(
                    f"The lines of {path} end in \\r\\n, but at byte {place + lone.start()} a \\r "
                    "stands alone, which makes readers lose what follows; end all lines in the "
                    "same way (tr -d '\\r' leaves \\n)."
                )
            before = b"\r" if block.endswith(b"\r") else b""
            place += len(block) - len(before)


def _check_csv_rows(path: Path) -> None:
    """Count a CSV file's rows twice, with the project's rules on quotes and with DuckDB.

    Raises:
        FlywheelError: a quoted value is not closed where it should be, or the counts differ, so
            that rows would be read into one another.
    """
    import duckdb

    n_rows, delimiter, n_columns = _check_quotes(path)
    columns = {f"c{n}": "varchar" for n in range(n_columns + 1)}
    counts = ", ".join(f"count({column})" for column in columns)  # only what is read is checked
    with duckdb.connect() as connection:
        try:
            n_read, *_ = connection.execute(
                # The options of duckdb_csv_reader in macros/engine/register_raw_sources.sql.
                f"select count(*), {counts} from read_csv($path, columns = {columns}, "
                "delim = $delimiter, quote = '\"', escape = '\"', header = false, skip = 1, "
                "auto_detect = false, null_padding = true, parallel = false, strict_mode = false, "
                "max_line_size = 8388608, store_rejects = true, rejects_limit = 0)",
                {"path": _literal(path), "delimiter": delimiter.decode()},
            ).fetchall()[0]
            (n_rejected,) = connection.execute(
                "select count(distinct line) from reject_errors"
            ).fetchall()[0]
        except duckdb.Error as error:
            raise FlywheelError(
                f"{path} cannot be read as CSV ({_first_line(error)}); export it again."
            ) from error
    if n_rows != n_read + n_rejected:
        raise FlywheelError(
            f"{path} holds {n_rows} rows by its quotes and line ends, but is read as "
            f"{n_read + n_rejected}: a quote too many, blanks before a quote or control characters "
            "join rows or part them; export it again, as Parquet or NDJSON if it can be."
        )


def _check_quotes(path: Path) -> tuple[int, bytes, int]:
    """Look for values in quotes that are not closed where they should be.

    A value may hold line breaks, so a reader cannot tell a quote too many from a long value: it
    takes the rows that follow for text. Three things give it away: the file ends within the
    value, text follows the quote that closes it on another line, or a line within the value has
    as many delimiters as the header, that is, looks like a row.

    Returns:
        Rows behind the header, blank lines not counted; the delimiter; columns of the header.

    Raises:
        FlywheelError: names the file, the line where the value begins, and what shows it.
    """
    delimiter, n_delimiters, quotes = b"", 0, _Quotes(b",")
    opened: int | None = None
    n_rows = 0
    for number, line in enumerate(_all_lines(path), start=1):
        if not delimiter:
            if line.strip():
                delimiter = max((b",", b"\t", b";", b"|"), key=line.count)
                n_delimiters, quotes = line.count(delimiter), _Quotes(delimiter)
            continue
        start = 0
        n_rows += opened is None and bool(line)
        if opened is not None:
            closing = quotes.rest_of_value(line)
            within = line if closing is None else line[:closing]
            if n_delimiters and within.count(delimiter) >= n_delimiters:
                raise _open_quote(path, opened, f"line {number}, which looks like a row, is in it")
            if closing is None:
                if number - opened > LINES_IN_A_VALUE:
                    raise _open_quote(path, opened, f"it goes on for {LINES_IN_A_VALUE} lines")
                continue
            if not quotes.ends_at(line, closing):
                raise _open_quote(path, opened, f"text follows the next quote, on line {number}")
            opened, start = None, closing
        if b'"' in line and quotes.opens_a_value(line, start):
            opened = number
    if opened is not None:
        raise _open_quote(path, opened, "the file ends in it")
    return n_rows, delimiter, n_delimiters + 1


class _Quotes:
    """Where quoted values begin and end on a line, for one delimiter."""

    def __init__(self, delimiter: bytes) -> None:
        mark = re.escape(delimiter)
        rest = rb'(?:[^"]++|"")*+"'
        value = rb'(?:"' + rest + rb'|[^"' + mark + rb"][^" + mark + rb"]*+|)"
        self._mark = delimiter
        self._rest = re.compile(rest)
        self._whole = re.compile(value + rb"(?:" + mark + value + rb")*+")
        self._value = re.compile(value + rb"[^" + mark + rb"]*+")

    def rest_of_value(self, line: bytes) -> int | None:
        """The place behind the quote that closes a value begun on a line before; None: none."""
        found = self._rest.match(line)
        return found.end() if found else None

    def ends_at(self, line: bytes, place: int) -> bool:
        """Whether a value may end here: before a delimiter or at the line's end."""
        return place == len(line) or line.startswith(self._mark, place)

    def opens_a_value(self, line: bytes, place: int) -> bool:
        """Whether a value that begins behind `place` goes on on the next line.

        `place` is the line's start, or where a value of the line before ends.
        """
        if place:
            place += 1
        if self._whole.fullmatch(line, place):
            return False
        while place <= len(line):
            if line.startswith(b'"', place) and not self._rest.match(line, place + 1):
                return True
            place = self._value.match(line, place).end() + 1
        return False


def _open_quote(path: Path, line: int, what: str) -> FlywheelError:
    return FlywheelError(
        f"Line {line} of {path} opens a quoted value that is not closed where it should be "
        f"({what}); close the quote or double it, or export the file again."
    )


def _all_lines(path: Path) -> Iterator[bytes]:
    """Every line of a text file, unpacked, without its end (\\n, \\r\\n or \\r)."""
    left = b""
    with _opened(path, _compression(path)) as stream:
        while chunk := stream.read(_CHUNK):
            block = left + bytes(chunk)
            kept = b"\r" if block.endswith(b"\r") else b""  # its \n may be in the next chunk
            block = block[: len(block) - len(kept)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            lines = block.split(b"\n")
            left = lines.pop() + kept
            yield from lines
    if left:
        yield from left.removesuffix(b"\r").split(b"\n")


def _sampled_documents(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The first JSON objects of a text file, action lines left out, and the lines looked at."""
    documents: list[dict[str, Any]] = []
    n_lines = 0
    for line in _head_lines(path):
        text = line.strip()
        if not text:
            continue
        n_lines += 1
        if n_lines == 1 and text.startswith(b"["):
            raise FlywheelError(
                f"{path} is a JSON array; write one document per line (jq -c '.[]' does it)."
            )
        document = _document(text)
        if document is not None and not _is_action_line(document):
            documents.append(document)
        if len(documents) == SAMPLED_DOCUMENTS or n_lines == 3 * SAMPLED_DOCUMENTS:
            break
    return documents, n_lines


def _document(text: bytes) -> dict[str, Any] | None:
    """A line's JSON object: plain, or behind an index name and a tab. None where it is none."""
    if not text.startswith(b"{") and b"\t" in text:
        text = text.split(b"\t", 1)[1]
    try:
        value = json.loads(text.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_action_line(document: Mapping[str, Any]) -> bool:
    """Whether this is a line of the bulk format that only announces the next document."""
    if len(document) != 1:
        return False
    ((verb, target),) = document.items()
    return verb in ("index", "create", "update", "delete") and isinstance(target, dict)


def _head_lines(path: Path) -> list[bytes]:
    """The first lines of a text file, unpacked.

    A last line that the limit may have cut is left out.

    Raises:
        FlywheelError: the file is not the text it says it is, or its stream is cut.
    """
    compression = _compression(path)
    if compression:
        _check_compressed(path, compression)
    with _opened(path, compression) as stream:
        head = stream.read(HEAD_BYTES)
        complete = not stream.read(1)
    for magic, what in _ARCHIVE_MAGIC.items():
        if head.startswith(magic):
            raise FlywheelError(f"{path} is {what}; unpack it, and name what was in it.")
    if head.startswith(_PARQUET_MAGIC):
        raise FlywheelError(f"{path} is a Parquet file; give it a name that ends in .parquet.")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FlywheelError(f"{path} is UTF-16 text; convert it to UTF-8 (iconv does it).")
    if b"\x00" in head[:BINARY_PROBE_BYTES]:
        raise FlywheelError(
            f"{path} holds binary content (zero bytes), not text; "
            "export it again as UTF-8 NDJSON or CSV, or name it after what it is."
        )
    lines = head.removeprefix(b"\xef\xbb\xbf").splitlines()
    if not complete:
        lines = lines[:-1]
        if not lines:
            raise FlywheelError(
                f"The first line of {path} is longer than {HEAD_BYTES // 1024 // 1024} MB; "
                "write one document or row per line."
            )
    return lines


def _check_compressed(path: Path, compression: str) -> None:
    """Read a compressed file through: a cut Zstandard stream would pass for a shorter log."""
    name = _COMPRESSION_NAMES[compression]
    with path.open("rb") as raw:
        if raw.read(len(_MAGIC[compression])) != _MAGIC[compression]:
            raise FlywheelError(
                f"{path} is not {name} data although its name ends in .{compression}; "
                "rename it after what it is, or pack it again."
            )
    try:
        with _opened(path, compression) as stream:
            while stream.read(_CHUNK):
                pass
    except (EOFError, OSError, zlib.error) as error:
        raise FlywheelError(
            f"{path} is cut short or damaged (its {name} stream does not end properly); "
            "copy it again from where it was written."
        ) from error


def _opened(path: Path, compression: str | None) -> BinaryIO:
    if compression == "gz":
        return cast("BinaryIO", gzip.open(path, "rb"))
    if compression == "zst":
        import pyarrow as pa  # here, because most logs are not packed this way

        return pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
    return path.open("rb")


def _parquet_columns(path: Path) -> dict[str, str]:
    """Column name -> DuckDB type of a Parquet file, after a look at both of its ends."""
    if _compression(path):
        raise FlywheelError(f"{path} is packed twice (Parquet packs itself); unpack it first.")
    with path.open("rb") as raw:
        head = raw.read(4)
        tail = b""
        if path.stat().st_size >= 12:
            raw.seek(-4, io.SEEK_END)
            tail = raw.read(4)
    if head != _PARQUET_MAGIC:
        raise FlywheelError(
            f"{path} is not a Parquet file although its name ends in .parquet; "
            "rename it after what it is (.ndjson or .csv), or export it again."
        )
    if tail != _PARQUET_MAGIC:
        raise FlywheelError(
            f"{path} is a Parquet file that is cut short; copy it again from where it was written."
        )
    import duckdb  # here, because a text log needs no engine to be looked at

    with duckdb.connect() as connection:
        try:
            rows = connection.execute(
                "describe select * from read_parquet($path)", {"path": _literal(path)}
            ).fetchall()
        except duckdb.Error as error:
            raise FlywheelError(
                f"{path} cannot be read as Parquet ({_first_line(error)}); export it again."
            ) from error
    return {name: kind for name, kind, *_ in rows}


def unreadable_parquet(variables: Mapping[str, Any], *, project: Path) -> str | None:
    """A sentence on the first Parquet file of the log that cannot be read to its end.

    The check before a build looks at both ends of a file only; this reads all of it, to name the
    file that stopped a model.

    Args:
        variables: dbt vars given on top of those of dbt_project.yml.
        project: folder of dbt_project.yml.
    """
    import duckdb

    values = {**_project_vars(project), **variables}
    names = ("flat_log",) if values["log_format"] == "flat" else ("raw_queries", "raw_events")
    given = [_path_value(name, values.get(name)) for name in names]
    for path in sorted({file for one in given if one for file in resolve(one, root=project)}):
        if _file_type(path) != "parquet":
            continue
        with duckdb.connect() as connection:
            try:
                rows = connection.execute(
                    "select * from read_parquet($path)", {"path": _literal(path)}
                )
                while rows.fetchmany(10_000):
                    pass
            except duckdb.Error as error:
                return f"{path} cannot be read as Parquet ({_first_line(error)}); export it again."
    return None


# --- small helpers ------------------------------------------------------------------------------


def _checked(look: Callable[[Path], T], path: Path) -> T:
    try:
        return look(path)
    except OSError as error:
        raise FlywheelError(f"{path} cannot be read ({error.strerror or error}).") from error


def _path_value(name: str, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str | Path):
        raise FlywheelError(
            f"{name} is {value!r}; it must be one path: a file, a glob or a directory."
        )
    return str(value).strip()


def _project_vars(project: Path) -> dict[str, Any]:
    text = (project / "dbt_project.yml").read_text(encoding="utf-8")
    return read_yaml(text).get("vars", {})


def _suffixes(path: Path) -> Iterator[str]:
    return (suffix.lower().lstrip(".") for suffix in reversed(path.suffixes))


def _compression(path: Path) -> str | None:
    last = next(_suffixes(path), None)
    return last if last in COMPRESSIONS else None


def _file_type(path: Path) -> str | None:
    """`ndjson`, `jsonl`, `json`, `csv`, `parquet`, or None for any other name."""
    suffix = next((s for s in _suffixes(path) if s not in COMPRESSIONS), None)
    return suffix if suffix in (*TEXT_TYPES, "parquet") else None


def _is_hidden(relative: Path) -> bool:
    return any(part.startswith(".") for part in relative.parts)


def _looks_like_ubi(names: Any) -> bool:
    return any(mark in names for mark in UBI_MARKS)


def _not_ubi(path: Path, names: list[str]) -> str:
    if {"search_id", "doc_id"} <= {name.lower() for name in names}:
        return (
            f"{path} looks like a flat log, not a UBI one (it has {_listed(names)}); "
            f"set --var log_format=flat --var flat_log={path}."
        )
    return (
        f"{path} holds no UBI queries or events: none of its first documents has "
        f"{_listed(UBI_MARKS, 'or')}; they have {_listed(names)}. Name a UBI log, or turn this "
        "one into a flat log with one select and set --var log_format=flat --var flat_log=PATH."
    )


def _keys(documents: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for document in documents for key in document))


def _listed(names: Any, conjunction: str = "and") -> str:
    """A list for a sentence; a long one is cut, since a wide table has hundreds of columns."""
    shown = [_shown(str(name)) for name in names]
    if not shown:
        return "nothing"
    if len(shown) > 30:
        return f"{', '.join(shown[:30])} and {len(shown) - 30} more"
    if len(shown) == 1:
        return shown[0]
    return f"{', '.join(shown[:-1])} {conjunction} {shown[-1]}"


def _shown(name: str) -> str:
    """A name from a file, fit for a terminal: short, and nothing that a terminal would obey."""
    plain = "".join(c if c.isprintable() else "?" for c in name)
    return plain if len(plain) <= 60 else f"{plain[:60]}..."


def _numeric(kind: str) -> bool:
    return kind.lstrip("U").startswith((*_NUMERIC_TYPES, "DECIMAL"))


def _literal(path: Path) -> str:
    """The path with its glob characters taken literally, as DuckDB's readers want it."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in str(path))


def _first_line(error: Exception) -> str:
    line = (str(error).splitlines() or ["unknown error"])[0]
    return "".join(c if c.isprintable() else "?" for c in line).rstrip(".")
