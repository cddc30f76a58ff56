"""Raw log files that went wrong: mutants of sound files, and a count of their rows of its own.

A mutant is made from its seed alone, so a failure is made again with `mutant(seed)`. What a
mutant's rows are is counted by `count_rows`, which knows the formats but none of the project's
SQL.
"""

import csv
import datetime as dt
import gzip
import io
import json
import random
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from ubi_fixtures import compress_zstd

Kind = Literal["text", "csv", "parquet"]
Document = dict[str, Any]
Lines = list[bytes]

HOSTILE_TEXTS = (
    "<script>alert(1)</script>",
    "'); drop table fct_searches; --",
    "{{ var('address_salt') }} {% raw %} {# x #}",
    "$(touch owned) `id` ; rm -rf . | cat",
    '"><img src=x onerror=alert(1)>',
    "%s %n $1 ? :name @x",
    "../../etc/passwd\\..\\",
    "a\tb\\t\\n",
    "\u202egnol\u202c \u0000 \ufeff \u2028 \x85",
    "👩‍👩‍👧‍👦 e\u0301 ﷽ ß İ",
    "null",
    "NaN",
    "*[?]{a,b}",
    "=cmd|' /C calc'!A0",
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    [],
    {},
    "",
    " ",
    0,
    -1,
    1.5,
    -0.0,
    1e308,
    5e-324,
    10**15,
    2**63,
    -(2**63) - 1,
    10**40,
    [1, [2, [3, [4]]]],
    {"a": {"b": {"c": [None, "d"]}}},
    "x" * 11_000,
    "0",
    "1e3",
    "inf",
    "-nan",
    "true",
    "2026-02-30T25:61:61Z",
    "0000-00-00",
    "9999999999999999",
    "infinity",
    "epoch",
    "294247-01-10T04:00:54Z",
    "-290308-12-22",
    "2026-03-02T10:00:00+99:99",
    "\ud800",
    *HOSTILE_TEXTS,
)
START = dt.datetime(2026, 3, 2, 10, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Mutant:
    """A raw file after its mutations.

    Attributes:
        seed: makes it again.
        log_format: `ubi` or `flat`.
        name: file name; its ending says what the file claims to be.
        data: content.
        mutations: names of what was done to it, in order.
    """

    seed: int
    log_format: str
    name: str
    data: bytes
    mutations: tuple[str, ...]

    def __str__(self) -> str:
        """For a failure's message: how to make it again, and what it is."""
        return f"mutant({self.seed}): {self.name}, {' + '.join(self.mutations) or 'sound'}"


def mutant(seed: int) -> Mutant:
    """The mutant of a seed: one file, sound once, after none to three mutations."""
    chance = random.Random(seed)
    log_format: str = chance.choice(["ubi", "flat"])
    kinds: list[Kind] = ["text", "text", "parquet"] if log_format == "ubi" else ["text", "csv"]
    kind: Kind = chance.choice([*kinds, "csv", "parquet"] if log_format == "flat" else kinds)
    done: list[str] = []

    def some(mutations: dict[str, Callable[..., Any]], subject: Any, most: int) -> Any:
        for _ in range(chance.randint(0, most)):
            name = chance.choice(sorted(mutations))
            done.append(name)
            subject = mutations[name](chance, subject)
        return subject

    documents = sound_ubi(chance, seed) if log_format == "ubi" else sound_flat(chance, seed)
    documents = some(DOCUMENT_MUTATIONS, documents, 1)
    if kind == "parquet":
        data = some(
            BYTE_MUTATIONS, parquet(chance, documents, done), 1 if chance.random() < 0.3 else 0
        )
        ending = ".parquet"
    else:
        if kind == "csv":
            lines = some(CSV_MUTATIONS, csv_lines(chance, documents), 1)
            ending = ".csv"
        else:
            lines = text_lines(chance, documents, log_format)
            ending = chance.choice([".ndjson", ".jsonl", ".json"])
        lines = some(LINE_MUTATIONS, lines, 1)
        ends = chance.choice([b"\n"] * 4 + [b"\r\n"])
        data = ends.join(lines) + (ends if chance.random() < 0.8 else b"")
        data = some(TEXT_MUTATIONS, data, 1)
        data = some(BYTE_MUTATIONS, data, 1)
        packing = chance.choice(["", "", ".gz", ".zst"])
        if packing:
            data = packed(data, packing)
            if chance.random() < 0.15:
                done.append("packed:")
                data = some(BYTE_MUTATIONS, data, 1)
        ending += packing
    if chance.random() < 0.03:
        done.append("another name")
        ending = chance.choice([".parquet", ".csv", ".ndjson", ".ndjson.gz", ".ndjson.zst"])
    return Mutant(seed, log_format, f"m{seed}{ending}", data, tuple(done))


# --- sound files --------------------------------------------------------------------------------


def sound_ubi(chance: random.Random, seed: int) -> list[Document]:
    """Five searches with their clicks, under names of this seed's own."""
    documents: list[Document] = []
    for n in range(5):
        at = START + dt.timedelta(minutes=9 * n, seconds=chance.randint(0, 500))
        name = f"q{seed}-{n}"
        documents.append(
            {
                "application": f"shop{seed}",
                "query_id": name,
                "client_id": f"c{seed}-{n % 3}",
                "user_query": chance.choice(["lamp", "red shoes", *HOSTILE_TEXTS[:5]]),
                "timestamp": at.isoformat().replace("+00:00", "Z"),
                "query_attributes": {
                    "user_agent": chance.choice(
                        ["Mozilla/5.0 (X11; Linux x86_64)", *HOSTILE_TEXTS]
                    ),
                    "ip": f"203.0.113.{n}",
                },
                "query_response_hit_ids": [f"d{k}" for k in range(8)],
            }
        )
        for place in sorted(chance.sample(range(8), chance.randint(0, 3))):
            documents.append(
                {
                    "application": f"shop{seed}",
                    "action_name": "click",
                    "query_id": name,
                    "client_id": f"c{seed}-{n % 3}",
                    "timestamp": int((at.timestamp() + 20 + place) * 1000),
                    "message": "clicked",
                    "event_attributes": {
                        "object": {"object_id": f"d{place}"},
                        "position": {"ordinal": place + 1},
                    },
                }
            )
    return documents


def sound_flat(chance: random.Random, seed: int) -> list[Document]:
    """Five searches of four documents each."""
    return [
        {
            "search_id": f"s{seed}-{n}",
            "searched_at": (START + dt.timedelta(minutes=9 * n)).isoformat(),
            "query": ["lamp", "red shoes", 'a "wide" one, in red', *HOSTILE_TEXTS[:3]][n],
            "doc_id": f"d{rank}",
            "rank": rank,
            "clicked": chance.randint(0, 1),
            "user_id": f"u{seed}-{n % 3}",
            "dwell_seconds": chance.choice([None, 3.5, 40]),
            "ip": f"203.0.113.{n}",
            "user_agent": "Mozilla/5.0 (X11; Linux x86_64)",
        }
        for n in range(5)
        for rank in range(1, 5)
    ]


def text_lines(chance: random.Random, documents: list[Document], log_format: str) -> Lines:
    """NDJSON lines; UBI also in the bulk format or behind an index name and a tab."""
    style = chance.choice(["plain", "plain", "bulk", "tabbed"]) if log_format == "ubi" else "plain"
    lines: Lines = []
    for document in documents:
        line = as_json(document)
        index = "ubi_events" if "action_name" in document else "ubi_queries"
        if style == "bulk":
            lines.append(as_json({chance.choice(["index", "create"]): {"_index": index}}))
        lines.append(f"{index}\t".encode() + line if style == "tabbed" else line)
    return lines


def csv_lines(chance: random.Random, documents: list[Document]) -> Lines:
    """CSV rows, header first; a row is one element even where a value holds a line break."""
    names = list(dict.fromkeys(name for document in documents for name in document))
    delimiter = chance.choice([",", ",", ";", "\t", "|"])
    quoting = chance.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    rows = [names, *([as_cell(document.get(name)) for name in names] for document in documents)]
    lines = []
    for row in rows:
        text = io.StringIO()
        cells = [cell.replace("\x00", "") for cell in row]
        csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator="").writerow(cells)
        lines.append(text.getvalue().encode("utf-8", "replace"))
    return lines


def parquet(chance: random.Random, documents: list[Document], done: list[str]) -> bytes:
    """A Parquet file; columns whose values fit no type are written as JSON text."""
    names = list(dict.fromkeys(name for document in documents for name in document))
    columns, fields = [], []
    for name in names:
        values = [document.get(name) for document in documents]
        try:
            column = pa.array(values)
        except (pa.ArrowException, OverflowError, UnicodeEncodeError):
            column = pa.array(
                [as_cell(value).encode("utf-8", "replace").decode() for value in values]
            )
        if pa.types.is_struct(column.type) and not column.type.num_fields:
            column = pa.array(["{}"] * len(values))  # Parquet has no empty struct
        if chance.random() < 0.06:
            done.append(f"retyped {name}")
            column = retyped(chance, column)
        columns.append(column)
        fields.append(name)
    table = pa.table(columns, names=fields)
    sink = io.BytesIO()
    # Without Arrow's own copy of the schema, which only Arrow reads and could find damaged.
    pq.write_table(
        table, sink, compression=chance.choice(["none", "zstd", "gzip"]), store_schema=False
    )
    return sink.getvalue()


def retyped(chance: random.Random, column: pa.Array) -> pa.Array:
    """The column as something else, nulls where it does not fit."""
    n = len(column)
    return chance.choice(
        [
            pa.array([None] * n, pa.null()),
            pa.array([chance.choice([float("nan"), float("inf"), 1e300, 2.0]) for _ in range(n)]),
            pa.array([bytes(chance.randbytes(5)) for _ in range(n)]),
            pa.array([bool(i % 2) for i in range(n)]),
            pa.array([{"k": [i]} for i in range(n)]),
            pa.array([START] * n, pa.timestamp("ns", tz="Europe/Berlin")),
            pa.array([dt.date(2026, 3, 2)] * n),
            pa.array([dt.timedelta(seconds=i) for i in range(n)]),
            pa.array([[("k", i)] for i in range(n)], pa.map_(pa.string(), pa.int64())),
            pa.array([2**63 + i for i in range(n)], pa.uint64()),
        ]
    )


def packed(data: bytes, packing: str) -> bytes:
    """The data as one gzip or Zstandard stream."""
    return gzip.compress(data, mtime=0) if packing == ".gz" else compress_zstd(data)


def as_json(value: Any) -> bytes:
    """One line of JSON; a lone surrogate stays an escape, infinity and NaN stay as they are."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()


def as_cell(value: Any) -> str:
    """A value as a CSV writer of another system would put it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value)


# --- mutations ----------------------------------------------------------------------------------


def _drop_field(chance: random.Random, documents: list[Document]) -> list[Document]:
    name = _any_name(chance, documents)
    return [{k: v for k, v in document.items() if k != name} for document in documents]


def _rename_field(chance: random.Random, documents: list[Document]) -> list[Document]:
    name = _any_name(chance, documents)
    other = chance.choice([name.upper(), f" {name}", name + "\u0000", "x'y\"z", *HOSTILE_TEXTS[:4]])
    return [{(other if k == name else k): v for k, v in document.items()} for document in documents]


def _change_value(chance: random.Random, documents: list[Document]) -> list[Document]:
    changed = [dict(document) for document in documents]
    for _ in range(chance.randint(1, 6)):
        document = chance.choice(changed)
        document[chance.choice(sorted(document))] = chance.choice(VALUES)
    return changed


def _change_column(chance: random.Random, documents: list[Document]) -> list[Document]:
    name, value = _any_name(chance, documents), chance.choice(VALUES)
    return [{**document, name: value} for document in documents]


def _change_inner(chance: random.Random, documents: list[Document]) -> list[Document]:
    """Something inside of an attribute object."""
    changed = json.loads(json.dumps(documents))
    for document in changed:
        inner = [v for v in document.values() if isinstance(v, dict) and v]
        if inner and chance.random() < 0.5:
            target = chance.choice(inner)
            target[chance.choice(sorted(target))] = chance.choice(VALUES)
    return changed


def _deliver_again(chance: random.Random, documents: list[Document]) -> list[Document]:
    again = chance.sample(documents, chance.randint(1, len(documents)))
    return documents + [dict(document) for document in again]


def _shuffle(chance: random.Random, documents: list[Document]) -> list[Document]:
    return chance.sample(documents, len(documents))


def _nest_deeply(chance: random.Random, documents: list[Document]) -> list[Document]:
    value: Any = "deep"
    for _ in range(chance.choice([50, 400])):
        value = [value] if chance.random() < 0.5 else {"v": value}
    changed = [dict(document) for document in documents]
    chance.choice(changed)[_any_name(chance, documents)] = value
    return changed


def _any_name(chance: random.Random, documents: list[Document]) -> str:
    return chance.choice(sorted({name for document in documents for name in document}))


DOCUMENT_MUTATIONS = {
    "drop field": _drop_field,
    "rename field": _rename_field,
    "change values": _change_value,
    "change column": _change_column,
    "change inner": _change_inner,
    "deliver again": _deliver_again,
    "shuffle": _shuffle,
    "nest deeply": _nest_deeply,
}


def _one_line(chance: random.Random, lines: Lines, change: Callable[[bytes], bytes]) -> Lines:
    at = chance.randrange(len(lines))
    return [*lines[:at], change(lines[at]), *lines[at + 1 :]]


def _insert_line(chance: random.Random, lines: Lines, line: bytes) -> Lines:
    at = chance.randint(0, len(lines))
    return [*lines[:at], line, *lines[at:]]


def _duplicate_key(chance: random.Random, lines: Lines) -> Lines:
    def change(line: bytes) -> bytes:
        key = chance.choice([b"query_id", b"user_query", b"timestamp", b"rank", b"search_id"])
        return line.replace(b"{", b'{"%s": "other", ' % key, 1)

    return _one_line(chance, lines, change)


def _nan_tokens(chance: random.Random, lines: Lines) -> Lines:
    token = chance.choice([b"NaN", b"Infinity", b"-Infinity", b"0x1F", b"1e999", b"01", b"'x'"])
    return [re.sub(rb": [0-9]+", b": " + token, line) for line in lines]


GARBAGE = (
    b"",
    b" ",
    b"\t",
    b" \t \t",
    b"\xc2\xa0",
    b"{}",
    b"[]",
    b"null",
    b"garbage",
    b"// comment",
    b"\x1f",
    b"\x1e{}",
    b"\x00",
    b"\xff\xfe\xfd",
    b'{"index": {"_index": "ubi_queries"}}',
    b'{"delete": {"_index": "ubi_queries", "_id": "1"}}',
    b'{"create": {"_index": "other"}} {"index": {}}',
    b'{"index": {}}',
    b"ubi_queries\t",
    b"ubi_events\t{}",
    b'{"query_id": "',
    b"[" * 3000,
    b'"',
    b'""',
    b'","',
    b",,,,,,,,,,,,,,,,,",
    b"x" * 70_000,
    "\u2028{}\u2029".encode(),
    b"\x85",
)

LINE_MUTATIONS: dict[str, Callable[[random.Random, Lines], Lines]] = {
    "cut a line": lambda chance, lines: _one_line(
        chance, lines, lambda line: line[: chance.randint(0, len(line))]
    ),
    "join two lines": lambda chance, lines: [
        *lines[: (at := chance.randrange(len(lines)))],
        b"".join(lines[at : at + 2]),
        *lines[at + 2 :],
    ],
    "break a line": lambda chance, lines: _one_line(
        chance,
        lines,
        lambda line: line[: (at := chance.randint(0, len(line)))] + b"\n" + line[at:],
    ),
    "insert garbage": lambda chance, lines: _insert_line(chance, lines, chance.choice(GARBAGE)),
    "garbage everywhere": lambda chance, lines: [
        part for line in lines for part in (chance.choice(GARBAGE), line)
    ],
    "drop the first": lambda chance, lines: lines[1:],
    "repeat a line": lambda chance, lines: _insert_line(chance, lines, chance.choice(lines)),
    "duplicate key": _duplicate_key,
    "strange numbers": _nan_tokens,
    "blank space": lambda chance, lines: [
        chance.choice([b"", b" ", b"\t", b"\r"]) + line + chance.choice([b"", b" ", b"\t"])
        for line in lines
    ],
    "control characters": lambda chance, lines: _one_line(
        chance,
        lines,
        lambda line: line.replace(
            b"a", bytes([chance.choice([*range(1, 10), 11, 12, *range(14, 32)])])
        ),
    ),
    "long line": lambda chance, lines: _one_line(
        chance,
        lines,
        lambda line: line.replace(
            b"lamp", b"lamp" * (3_000_000 if chance.random() < 0.1 else 3_000)
        ),
    ),
}


def _with_header(lines: Lines, change: Callable[[list[bytes], bytes], list[bytes]]) -> Lines:
    mark = max((b",", b";", b"\t", b"|"), key=lines[0].count)
    return [mark.join(change(lines[0].split(mark), mark)), *lines[1:]]


CSV_MUTATIONS: dict[str, Callable[[random.Random, Lines], Lines]] = {
    "open a quote": lambda chance, lines: _one_line(
        chance, lines, lambda line: re.sub(rb"([,;|\t])", rb'\1"', line, count=1)
    ),
    "stray quote": lambda chance, lines: _one_line(
        chance,
        lines,
        lambda line: line[: (at := chance.randint(0, len(line)))] + b'"' + line[at:],
    ),
    "no header": lambda chance, lines: lines[1:],
    "header again": lambda chance, lines: _insert_line(chance, lines, lines[0]),
    "header name twice": lambda chance, lines: _with_header(
        lines, lambda names, mark: [*names[:-1], names[0]]
    ),
    "upper-case header": lambda chance, lines: [lines[0].upper(), *lines[1:]],
    "header name gone": lambda chance, lines: _with_header(
        lines, lambda names, mark: [*names[:-1], b""]
    ),
    "one value more": lambda chance, lines: _one_line(chance, lines, lambda line: line + b",more"),
    "one value less": lambda chance, lines: _one_line(
        chance, lines, lambda line: re.sub(rb"[,;|\t][^,;|\t]*$", b"", line)
    ),
    "line break in a value": lambda chance, lines: [
        line.replace(b"red", b"r\ned") if b'"' in line else line for line in lines
    ],
    "another delimiter": lambda chance, lines: [
        line.translate(bytes.maketrans(b",;", b";,")) for line in lines
    ],
}


def _flip(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 3, 20])):
        if changed:
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _cut_out(chance: random.Random, data: bytes) -> bytes:
    at = chance.randint(0, len(data))
    return data[:at] + data[at + chance.randint(1, 200) :]


def _insert_bytes(chance: random.Random, data: bytes) -> bytes:
    at = chance.randint(0, len(data))
    return data[:at] + chance.randbytes(chance.randint(1, 40)) + data[at:]


def _overwrite(chance: random.Random, data: bytes) -> bytes:
    at, n = chance.randint(0, len(data)), chance.randint(1, 60)
    return data[:at] + bytes([chance.choice([0, 32, 255])]) * n + data[at + n :]


def _splice(chance: random.Random, data: bytes) -> bytes:
    first, second = sorted(chance.randint(0, len(data)) for _ in range(2))
    return data[:second] + data[first:]


BYTE_MUTATIONS: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "flip bits": _flip,
    "truncate": lambda chance, data: data[: chance.randint(0, len(data))],
    "cut out": _cut_out,
    "insert bytes": _insert_bytes,
    "overwrite": _overwrite,
    "splice": _splice,
    "empty": lambda chance, data: b"" if chance.random() < 0.3 else data,
    "twice": lambda chance, data: data + data,
}

TEXT_MUTATIONS: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "byte order mark": lambda chance, data: b"\xef\xbb\xbf" + data,
    "byte order mark inside": lambda chance, data: data.replace(b"\n", b"\n\xef\xbb\xbf", 2),
    "invalid UTF-8": lambda chance, data: data.replace(
        b"e",
        chance.choice([b"\xe9", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\x80"]),
        3,
    ),
    "UTF-16": lambda chance, data: data.decode("utf-8", "replace").encode(
        chance.choice(["utf-16", "utf-16-le"])
    ),
    "CRLF": lambda chance, data: data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
    "mixed ends": lambda chance, data: re.sub(
        rb"\r?\n", lambda _: chance.choice([b"\n", b"\r\n", b"\n\n"]), data
    ),
    "lone carriage returns": lambda chance, data: data.replace(b"\n", b"\r", chance.randint(1, 3)),
    "all carriage returns": lambda chance, data: re.sub(rb"\r?\n", b"\r", data),
    "zero byte": lambda chance, data: data.replace(b"a", b"\x00", 1),
    "JSON array": lambda chance, data: b"[" + data.rstrip().replace(b"\n", b",\n") + b"]\n",
}


# --- counting -----------------------------------------------------------------------------------


def count_rows(name: str, data: bytes) -> int:
    """Rows of a file that the project accepts, counted by reading it as its format says.

    A row of a text log is a line that is not blank and does not merely announce the next
    document of a bulk dump. A row of a CSV is a record after the header, read by Python's own
    parser.
    """
    if name.endswith(".gz"):
        data = gzip.decompress(data)
    if name.endswith(".zst"):
        data = pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
    plain = re.sub(r"\.(gz|zst)$", "", name)
    if plain.endswith(".parquet"):
        return pq.read_metadata(io.BytesIO(data)).num_rows
    if plain.endswith(".csv"):
        return sum(1 for _ in csv_records(data)) - 1
    return sum(1 for line in lines_of(data) if not _is_action(line))


def lines_of(data: bytes) -> Iterator[bytes]:
    """Lines that are not blank (Unicode's spaces, unit separators), whatever ends them."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    return (line for line in re.split(rb"\r\n|\n|\r", data) if not _is_blank(line))


def _is_blank(line: bytes) -> bool:
    text = line.decode("utf-8", "replace")
    return all(c == "\x1f" or unicodedata.category(c) == "Zs" for c in text)


def csv_records(data: bytes) -> Iterator[list[str]]:
    """Records of a CSV, its header included, empty lines left out."""
    text = data.removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    header = next((line for line in re.split(r"\r\n|\n|\r", text) if line.strip()), "")
    delimiter = max(",\t;|", key=header.count)
    csv.field_size_limit(2**30)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return (row for row in rows if row)


def _is_action(line: bytes) -> bool:
    """Whether a line of a bulk dump only announces the next document."""

    def refuse(token: str) -> None:
        raise ValueError(token)

    try:
        document = json.loads(line.decode(), parse_constant=refuse)
    except (ValueError, RecursionError):
        return False
    if not isinstance(document, dict) or {"query_id", "action_name"} & set(document):
        return False
    targets = [document.get(verb) for verb in ("index", "create")]
    return any(isinstance(t, dict) and t.get("_index") is not None for t in targets)
