"""Compares three descriptions of the tables: the YAML, the built warehouse, and the fixed list."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import duckdb

from flywheel.contract.catalog import (
    Catalog,
    Relation,
    canonical_type,
    count_nulls,
    read_catalog,
)
from flywheel.contract.manifest import Model, Project
from flywheel.errors import FlywheelError
from flywheel.files import read_yaml


@dataclass(frozen=True)
class FixedTable:
    """A public table that consumers may rely on, whatever else changes."""

    name: str
    one_row_per: str
    columns: tuple[str, ...]


def fixed_tables() -> tuple[FixedTable, ...]:
    """Read the list that ships with the package, public_tables.yml."""
    text = resources.files("flywheel.contract").joinpath("public_tables.yml").read_text("utf-8")
    listed: Mapping[str, Any] = read_yaml(text)
    return tuple(
        FixedTable(name, table["one_row_per"], tuple(table["columns"]))
        for name, table in listed.items()
    )


def differences(
    project: Project,
    connection: duckdb.DuckDBPyConnection,
    fixed: tuple[FixedTable, ...] | None = None,
) -> list[str]:
    """Compare the YAML with the warehouse and with the fixed tables.

    Args:
        project: the parsed project.
        connection: the built warehouse, to read.
        fixed: the fixed tables; default: those of the package.

    Returns:
        One sentence for each difference; empty if all agree.
    """
    catalog = read_catalog(connection)
    found = list(_fixed(project, fixed_tables() if fixed is None else fixed))
    for name in sorted(project.models):
        model = project.models[name]
        found += _shape(model, catalog)
        relation = catalog.get((model.schema, model.relation))
        if relation is not None:
            found += _nulls(model, relation, connection)
    return found


def _fixed(project: Project, fixed: tuple[FixedTable, ...]) -> Iterator[str]:
    by_relation = {m.relation: m for m in project.models.values()}
    for table in fixed:
        model = by_relation.get(table.name)
        if model is None:
            yield f"{table.name}: a fixed public table, and no model builds it."
            continue
        if model.access != "public" or not model.has_contract:
            yield f"{table.name}: a fixed public table must be public, with an enforced contract."
        if not model.description.startswith(f"One row per {table.one_row_per}"):
            yield (
                f"{table.name}: fixed as one row per {table.one_row_per}, "
                f"but its description begins {model.description[:60]!r}."
            )
        listed = {column.name for column in model.columns}
        for column in table.columns:
            if column not in listed:
                yield f"{table.name}.{column}: a fixed column, and the YAML does not list it."


def _shape(model: Model, catalog: Catalog) -> Iterator[str]:
    relation = catalog.get((model.schema, model.relation))
    if relation is None:
        yield f"{model.name}: not in the warehouse (schema {model.schema}); build it."
        return
    wanted_kind = "view" if model.materialized == "view" else "table"
    if relation.kind != wanted_kind:
        yield f"{model.name}: configured as a {wanted_kind}, built as a {relation.kind}."
    if _words(relation.comment) != model.description:
        yield f"{model.name}: its comment in the warehouse is not its description; build it again."
    yield from _columns(model, relation)


def _columns(model: Model, relation: Relation) -> Iterator[str]:
    built = {column.name: column for column in relation.columns}
    listed = [column.name for column in model.columns]
    for column in model.columns:
        if column.name not in built:
            yield f"{model.name}.{column.name}: in the YAML, but not in the warehouse."
            continue
        found = built[column.name]
        try:
            promised = canonical_type(column.data_type)
        except FlywheelError as error:
            yield f"{model.name}.{column.name}: {error}"
            continue
        if promised != found.data_type:
            yield (
                f"{model.name}.{column.name}: {promised} in the YAML, "
                f"{found.data_type} in the warehouse."
            )
        if model.has_column_comments and _words(found.comment) != column.description:
            yield (
                f"{model.name}.{column.name}: its comment in the warehouse is not its "
                "description; build it again."
            )
    for name in built:
        further = model.further_columns is not None and name.startswith(model.further_columns)
        if name not in listed and not further:
            yield f"{model.name}.{name}: in the warehouse, but not in the YAML."
    if model.has_contract:
        yield from _order(model, [n for n in listed if n in built], list(built))


def _order(model: Model, listed: list[str], built: list[str]) -> Iterator[str]:
    common = [name for name in built if name in listed]
    for place, (promised, found) in enumerate(zip(listed, common, strict=True), start=1):
        if promised != found:
            yield (
                f"{model.name}: column {place} is {promised} in the YAML "
                f"and {found} in the warehouse; the order must be the same."
            )
            return


def _nulls(
    model: Model, relation: Relation, connection: duckdb.DuckDBPyConnection
) -> Iterator[str]:
    built = {column.name for column in relation.columns}
    required = [c.name for c in model.columns if c.name in model.required & built]
    for name, n in count_nulls(connection, model.schema, model.relation, required).items():
        if n:
            yield (
                f"{model.name}.{name}: promised never to be null, and "
                f"{n} {'row is' if n == 1 else 'rows are'}."
            )


def _words(text: str) -> str:
    return " ".join(text.split())
