"""Holds the present contract against one that a consumer pinned.

Only what the pinned file names is looked at: a consumer may cut it down to the tables and columns
that it reads. docs/contracts.md says what counts as breaking.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flywheel.errors import FlywheelError

Contract = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """What became of the pinned contract.

    Attributes:
        breaking: sentences, one for each promise that is no longer kept.
        additions: sentences on what is new; no consumer needs to act.
    """

    breaking: tuple[str, ...]
    additions: tuple[str, ...]


def compare(pinned: Contract, present: Contract) -> Comparison:
    """Compare two contracts, both as plain data in the Open Data Contract Standard.

    Raises:
        FlywheelError: they are contracts of different products.
    """
    if pinned.get("id") != present.get("id"):
        raise FlywheelError(
            f"The pinned contract is that of {pinned.get('name') or 'another product'} "
            f"(id {pinned.get('id')}), not of {present.get('name')} (id {present.get('id')})."
        )
    before, after = _named(pinned.get("schema")), _named(present.get("schema"))
    breaking: list[str] = []
    additions: list[str] = []
    for name, table in before.items():
        if name not in after:
            breaking.append(f"{name}: the table was removed or renamed.")
            continue
        breaking += _table_breaks(name, table, after[name])
        additions += _table_additions(name, table, after[name])
    additions += [f"{name}: a new table." for name in after if name not in before]
    return Comparison(tuple(breaking), tuple(additions))


def _table_breaks(name: str, before: Contract, after: Contract) -> Iterator[str]:
    if before.get("physicalName", name) != after.get("physicalName", name):
        yield (
            f"{name}: now stands in {after.get('physicalName', name)}, "
            f"no longer in {before.get('physicalName', name)}."
        )
    old, new = _named(before.get("properties")), _named(after.get("properties"))
    for column, promised in old.items():
        where = f"{name}.{column}"
        if column not in new:
            yield f"{where}: the column was removed or renamed{_hint(promised, old, new)}."
            continue
        found = new[column]
        for field, words in (("physicalType", "type"), ("logicalType", "logical type")):
            if promised.get(field) is not None and promised[field] != found.get(field):
                yield f"{where}: its {words} was {promised[field]} and is {found.get(field)}."
                break
        if promised.get("required") and not found.get("required"):
            yield f"{where}: it was never null and now may be."
        if promised.get("unique") and not found.get("unique"):
            yield f"{where}: it was unique and now may repeat."
    was, now = _about(before, "key"), _about(after, "key")
    if was and was != now:
        yield (
            f"{name}: a row was named by ({', '.join(was)}) and now is by ({', '.join(now or ())})."
        )


def _table_additions(name: str, before: Contract, after: Contract) -> Iterator[str]:
    old, new = _named(before.get("properties")), _named(after.get("properties"))
    for column in new:
        if column not in old:
            yield f"{name}.{column}: a new column, {new[column].get('physicalType')}."
    for column in old:
        if column in new:
            values = _values(new[column]) - _values(old[column])
            if _values(old[column]) and values:
                yield f"{name}.{column}: new values, {', '.join(sorted(values))}."
    was, now = _about(before, "deprecationDate"), _about(after, "deprecationDate")
    if now is not None and now != was:
        yield f"{name}: will be removed after {now}; move to its newer version."


def _hint(promised: Contract, old: Mapping[str, Contract], new: Mapping[str, Contract]) -> str:
    """Columns that a renamed one may be called now."""
    names = [
        name
        for name, column in new.items()
        if name not in old and column.get("physicalType") == promised.get("physicalType")
    ]
    return f" (new columns of its type: {', '.join(names)})" if names else ""


def _named(elements: Any) -> dict[str, Contract]:
    return {str(element["name"]): element for element in elements or ()}


def _values(column: Contract) -> set[str]:
    """The values that an accepted_values rule allows; empty where there is none."""
    return {
        str(value)
        for rule in column.get("quality") or ()
        if rule.get("metric") == "invalidValues"
        for value in (rule.get("arguments") or {}).get("validValues") or ()
    }


def _about(table: Contract, name: str) -> Any:
    found = [p.get("value") for p in table.get("customProperties") or () if p["property"] == name]
    return found[0] if found else None
