"""CSV files: their header, and whether quotes join rows."""

import csv
import io
import re
from pathlib import Path

from flywheel.errors import FlywheelError
from flywheel.inputs.paths import literal
from flywheel.inputs.sentences import first_line
from flywheel.inputs.text import all_lines, head_lines

LINES_IN_A_VALUE = 1000
"""A quoted value of more lines than this is a quote that was never closed."""


def csv_header(path: Path) -> list[str]:
    """Names in a CSV file's first line, by the delimiter that makes the most of them."""
    lines = head_lines(path)
    header = next((line for line in lines if line.strip()), b"").decode("utf-8", "replace").strip()
    if not header:
        return []
    rows = [next(csv.reader(io.StringIO(header), delimiter=mark)) for mark in ",\t;|"]
    return max(rows, key=len)


def check_csv_rows(path: Path) -> None:
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
                {"path": literal(path), "delimiter": delimiter.decode()},
            ).fetchall()[0]
            (n_rejected,) = connection.execute(
                "select count(distinct line) from reject_errors"
            ).fetchall()[0]
        except duckdb.Error as error:
            raise FlywheelError(
                f"{path} cannot be read as CSV ({first_line(error)}); export it again."
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
    for number, line in enumerate(all_lines(path), start=1):
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
