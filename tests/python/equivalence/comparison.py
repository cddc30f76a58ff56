"""Are two warehouses the same, row by row?"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

Tables = Mapping[str, pa.Table]

SHOWN_ROWS = 3
LAST_BITS = 1e-12
"""Doubles whose relative difference is smaller differ only by the order of a sum."""

PLACE_COLUMNS = frozenset({"source_file", "row_number", "quarantine_id", "arrived_at"})
"""Speak of files, not of events; left out where layouts of files are compared."""
ARRIVAL_TABLES = frozenset({"fct_late_arrivals", "fct_session_revisions"})
"""Speak of arrival, not of events."""
COUNTED_BY_FILE = frozenset({"fct_input_reconciliation"})
"""Rows of counts by file; summed over the files where layouts are compared."""


@dataclass
class Difference:
    """What differs in one table.

    Attributes:
        table: its name.
        n_left: rows that only the warehouse under test has.
        n_right: rows that only the rebuilt one has.
        n_last_bits: pairs among them that differ in the last bits of doubles alone.
        columns: columns that differ in pairs of rows that agree elsewhere.
        examples: the first differing rows, as text.
    """

    table: str
    n_left: int
    n_right: int
    n_last_bits: int = 0
    columns: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()

    @property
    def is_last_bits(self) -> bool:
        """Nothing else differs."""
        return self.n_left == self.n_right == self.n_last_bits

    def sentence(self) -> str:
        """For people; the first rows follow on lines of their own."""
        text = f"{self.table}: {self.n_left} rows only here, {self.n_right} only in the rebuild"
        if self.n_last_bits:
            text += f", {self.n_last_bits} of them the same but for the last bits of a double"
        if self.columns:
            text += f" (columns {', '.join(self.columns)})"
        return "\n".join([text, *(f"    {example}" for example in self.examples)])


@dataclass
class Comparison:
    """The outcome for a whole warehouse.

    Attributes:
        n_rows: rows compared, by group of tables.
        differences: tables that differ.
    """

    n_rows: dict[str, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)

    def wrong(self, *, allow_last_bits: bool) -> list[Difference]:
        """The differences that count."""
        return [d for d in self.differences if not (allow_last_bits and d.is_last_bits)]


def read_tables(connection: duckdb.DuckDBPyConnection, names: Iterable[str]) -> dict[str, pa.Table]:
    """Tables of a warehouse, by name alone, in memory."""
    schemas = dict(
        connection.execute(
            "select table_name, table_schema from information_schema.tables "
            "where table_schema like 'main%' and not contains(table_name, '__dbt_')"
        ).fetchall()
    )
    return {
        name: connection.sql(f'from "{schemas[name]}"."{name}"').to_arrow_table() for name in names
    }


def compare(
    left: Tables, right: Tables, groups: Mapping[str, str], *, layouts_differ: bool = False
) -> Comparison:
    """Compare every table by `except all`, both ways, in all columns.

    Args:
        left: of the warehouse under test.
        right: of the one built by a full refresh.
        groups: group of each table, for the counts; every table named here is compared.
        layouts_differ: the same events stood in other files, so leave out what speaks of files.
    """
    found = Comparison()
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        for table, group in groups.items():
            if layouts_differ and table in ARRIVAL_TABLES:
                continue
            if left[table].schema.names != right[table].schema.names:
                found.differences.append(
                    Difference(table, 0, 0, examples=("the columns have other names or places",))
                )
                continue
            projection = _projection(table, left[table].schema, layouts_differ)
            connection.register("left_rows", left[table])
            connection.register("right_rows", right[table])
            found.n_rows[group] = found.n_rows.get(group, 0) + right[table].num_rows
            sides = []
            for mine, other in (("left_rows", "right_rows"), ("right_rows", "left_rows")):
                cursor = connection.execute(
                    f"{projection.format(mine)} except all {projection.format(other)}"
                )
                names = [column[0] for column in cursor.description]
                sides.append(sorted(cursor.fetchall(), key=repr))
            if any(sides):
                found.differences.append(_explain(table, names, *sides))
    return found


def _projection(table: str, schema: pa.Schema, layouts_differ: bool) -> str:
    if not layouts_differ:
        return "select * from {}"
    kept = [name for name in schema.names if name not in PLACE_COLUMNS]
    if table not in COUNTED_BY_FILE:
        return f"select {', '.join(kept)} from {{}}"
    counts = [name for name in kept if name.startswith("n_")]
    keys = [name for name in kept if name not in counts]
    sums = ", ".join(f"sum({name}) as {name}" for name in counts)
    return f"select {', '.join(keys)}, {sums} from {{}} group by all"


def _explain(
    table: str, names: list[str], left: list[tuple[Any, ...]], right: list[tuple[Any, ...]]
) -> Difference:
    """Pair the rows that agree in everything but doubles, then those that agree in most."""
    keyed: dict[str, list[tuple[Any, ...]]] = {}
    for row in right:
        keyed.setdefault(_key(row), []).append(row)
    n_last_bits = 0
    columns: set[str] = set()
    unpaired = []
    for row in left:
        same = [r for r in keyed.get(_key(row), []) if _nearly(row, r)]
        if same:
            keyed[_key(row)].remove(same[0])
            n_last_bits += 1
            columns |= _differing(names, row, same[0])
        else:
            unpaired.append(row)
    others = [row for rows in keyed.values() for row in rows]
    examples = []
    for row in unpaired[:SHOWN_ROWS]:
        partner = min(others, key=lambda r: len(_differing(names, row, r)), default=None)
        if partner is not None and len(_differing(names, row, partner)) <= len(names) / 2:
            differing = _differing(names, row, partner)
            columns |= differing
            others.remove(partner)
            examples.append(_contrast(names, row, partner, differing))
        else:
            examples.append(f"only here:    {_text(names, row)}")
    examples += [f"only rebuilt: {_text(names, row)}" for row in others[: SHOWN_ROWS - 1]]
    return Difference(
        table,
        n_left=len(left),
        n_right=len(right),
        n_last_bits=n_last_bits,
        columns=tuple(name for name in names if name in columns),
        examples=tuple(examples[: SHOWN_ROWS + 1]),
    )


def _contrast(
    names: list[str], row: tuple[Any, ...], partner: tuple[Any, ...], differing: set[str]
) -> str:
    changes = [
        f"{name} {mine!r} instead of {rebuilt!r}"
        for name, mine, rebuilt in zip(names, row, partner, strict=True)
        if name in differing
    ]
    same = [
        f"{name}={value!r}"
        for name, value in zip(names, row, strict=True)
        if name not in differing and value is not None
    ]
    return f"{'; '.join(changes)}; where {', '.join(same[:6])}"


def _text(names: list[str], row: tuple[Any, ...]) -> str:
    return ", ".join(
        f"{name}={value!r}" for name, value in zip(names, row, strict=True) if value is not None
    )[:600]


def _differing(names: list[str], left: tuple[Any, ...], right: tuple[Any, ...]) -> set[str]:
    return {n for n, a, b in zip(names, left, right, strict=True) if repr(a) != repr(b)}


def _key(row: tuple[Any, ...]) -> str:
    return repr([None if isinstance(value, float) else value for value in row])


def _nearly(left: tuple[Any, ...], right: tuple[Any, ...]) -> bool:
    return all(
        math.isclose(a, b, rel_tol=LAST_BITS, abs_tol=0)
        if isinstance(a, float) and isinstance(b, float)
        else repr(a) == repr(b)
        for a, b in zip(left, right, strict=True)
    )
