"""Writes the public tables as a data contract in the Open Data Contract Standard, version 3.1.0.

https://bitol-io.github.io/open-data-contract-standard/ describes the format. Types are DuckDB's;
quality rules come from the data tests. Nothing in the file depends on time or machine, so two
exports of one project are equal byte for byte.
"""

import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from flywheel.contract.catalog import canonical_type, quoted
from flywheel.contract.manifest import Column, DataTest, Model, Project
from flywheel.errors import FlywheelError
from flywheel.files import read_yaml

API_VERSION = "v3.1.0"
SCHEMA = "main"
_LOGICAL = {
    "VARCHAR": "string",
    "UUID": "string",
    "TINYINT": "integer",
    "SMALLINT": "integer",
    "INTEGER": "integer",
    "BIGINT": "integer",
    "HUGEINT": "integer",
    "FLOAT": "number",
    "DOUBLE": "number",
    "DECIMAL": "number",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIME": "time",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamp",
    "STRUCT": "object",
    "MAP": "object",
    "JSON": "object",
}
# Tests that other fields of the contract already say.
_SAID_ELSEWHERE = (
    "not_null",
    "required_columns",
    "unique",
    "relationships",
    "relationships_combination",
)


def contract(project: Project) -> dict[str, Any]:
    """Describe the public tables.

    Returns:
        The contract as plain data, keys in the order in which the standard presents them.

    Raises:
        FlywheelError: a column's type has no counterpart in the standard.
    """
    public = {model.unique_id: model for model in project.public}
    return {
        "apiVersion": API_VERSION,
        "kind": "DataContract",
        "id": str(uuid.uuid5(uuid.NAMESPACE_DNS, project.name)),
        "name": project.name,
        "version": project.version,
        "status": "active",
        "domain": "search",
        "dataProduct": project.name,
        "description": {
            "purpose": "Search behaviour from click logs, debiased; what rankers learn from it, "
            "how they are judged offline, and how they do on real users.",
            "usage": "Query the tables by name. Times are UTC.",
            "limitations": "Tables outside this contract may change without notice.",
        },
        "servers": [
            {
                "server": "warehouse",
                "type": "duckdb",
                "description": "The DuckDB file that FLYWHEEL_DB names.",
                "database": "${FLYWHEEL_DB}",
                "schema": SCHEMA,
            }
        ],
        "team": {
            "name": project.name,
            "members": [
                {"username": owner.email, "name": owner.name, "role": f"owner of {group}"}
                for group, owner in sorted(project.groups.items())
            ],
        },
        "schema": [_table(model, public) for model in public.values()],
    }


def as_yaml(data: Mapping[str, Any]) -> str:
    """The contract as the text of a .odcs.yaml file."""
    return yaml.safe_dump(
        dict(data), sort_keys=False, allow_unicode=True, width=100, default_flow_style=False
    )


def read_contract(path: Path) -> dict[str, Any]:
    """Read a contract file.

    Raises:
        FlywheelError: the file is missing, or no data contract of version 3 of the standard.
    """
    try:
        data = read_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FlywheelError(
            f"There is no contract at {path}; write one with `flywheel contract --export {path}`."
        ) from None
    except (UnicodeDecodeError, yaml.YAMLError):
        data = None
    version = str(data.get("apiVersion", "")) if isinstance(data, dict) else ""
    if not isinstance(data, dict) or data.get("kind") != "DataContract" or version[:3] != "v3.":
        raise FlywheelError(
            f"{path} is no data contract of the Open Data Contract Standard, version 3; "
            "give a file that `flywheel contract --export` wrote."
        )
    return data


def _table(model: Model, public: Mapping[str, Model]) -> dict[str, Any]:
    about: dict[str, Any] = {"group": model.group, "key": list(model.key)}
    if model.version is not None:
        about["modelVersion"] = model.version
    if model.deprecation_date is not None:
        about["deprecationDate"] = model.deprecation_date
    table: dict[str, Any] = {
        "name": model.relation,
        "physicalName": model.relation,
        "logicalType": "object",
        "physicalType": "view" if model.materialized == "view" else "table",
        "description": model.description,
        "dataGranularityDescription": re.split(r"[:.;]", model.description)[0],
        "customProperties": [{"property": k, "value": v} for k, v in about.items()],
        "properties": [_property(column, model, public) for column in model.columns],
    }
    relationships = [
        {
            "type": "foreignKey",
            "from": [f"{model.relation}.{column}" for column in test.arguments["columns"]],
            "to": [f"{target.relation}.{column}" for column in test.arguments["fields"]],
        }
        for test in model.tests
        if test.kind == "relationships_combination"
        and (target := _target(test, public)) is not None
    ]
    if relationships:
        table["relationships"] = relationships
    quality = [
        rule
        for test in model.tests
        if test.column is None and (rule := _quality(test, model)) is not None
    ]
    if quality:
        table["quality"] = quality
    return table


def _property(column: Column, model: Model, public: Mapping[str, Model]) -> dict[str, Any]:
    physical = canonical_type(column.data_type)
    logical = _logical(physical, f"{model.name}.{column.name}")
    tests = [test for test in model.tests if test.column == column.name]
    described: dict[str, Any] = {
        "name": column.name,
        "description": column.description,
        "logicalType": logical,
        "physicalType": physical,
        "required": column.name in model.required,
    }
    if logical == "array":
        element = physical.removesuffix("[]")
        described["items"] = {
            "logicalType": _logical(element, f"{model.name}.{column.name}"),
            "physicalType": element,
        }
    if column.name in model.unique:
        described["unique"] = True
    # A primary key has no nulls; a key that has some stands as a rule of the table only.
    if column.name in model.key and model.required.issuperset(model.key):
        described["primaryKey"] = True
        described["primaryKeyPosition"] = model.key.index(column.name) + 1
    bounds = _bounds(tests) if logical in ("integer", "number") else {}
    if bounds:
        described["logicalTypeOptions"] = bounds
    relationships = [
        {"type": "foreignKey", "to": f"{target.relation}.{test.arguments['field']}"}
        for test in tests
        if test.kind == "relationships" and (target := _target(test, public)) is not None
    ]
    if relationships:
        described["relationships"] = relationships
    quality = [rule for test in tests if (rule := _quality(test, model)) is not None]
    if quality:
        described["quality"] = quality
    return described


def _logical(physical: str, where: str) -> str:
    if physical.endswith("[]"):
        return "array"
    base = re.split(r"[(\[]", physical)[0].strip()
    if base not in _LOGICAL:
        raise FlywheelError(
            f"{where} has the type {physical}, which has no counterpart in the contract standard; "
            "cast it in the model, or add it to flywheel/contract/odcs.py."
        )
    return _LOGICAL[base]


def _bounds(tests: list[DataTest]) -> dict[str, float]:
    bounds: dict[str, float] = {}
    for test in tests:
        if test.kind == "accepted_range" and test.is_promise:
            for name, argument in (("minimum", "min_value"), ("maximum", "max_value")):
                value = test.arguments.get(argument)
                if isinstance(value, int | float):
                    bounds[name] = value
    return bounds


def _target(test: DataTest, public: Mapping[str, Model]) -> Model | None:
    """The public model that a promise refers to; other tables are no part of the contract."""
    return public.get(test.refers_to) if test.refers_to and test.is_promise else None


def _quality(test: DataTest, model: Model) -> dict[str, Any] | None:
    """The rule in the standard's words; SQL where it has none, dbt's name where SQL has none."""
    if test.kind in _SAID_ELSEWHERE:
        return None
    given = test.arguments
    severity = "error" if test.stops else "warning"
    if test.where is None:
        if test.kind == "accepted_values":
            return {
                "type": "library",
                "metric": "invalidValues",
                "arguments": {"validValues": list(given["values"])},
                "mustBe": 0,
                "severity": severity,
            }
        if test.kind == "unique_combination":
            return {
                "type": "library",
                "metric": "duplicateValues",
                "arguments": {"properties": list(given["columns"])},
                "mustBe": 0,
                "severity": severity,
            }
        if test.kind == "one_row":
            return {"type": "library", "metric": "rowCount", "mustBe": 1, "severity": severity}
    condition = _broken(test)
    if condition is None:
        return {
            "type": "custom",
            "engine": "dbt",
            "implementation": {"test": test.kind, "arguments": dict(given)},
            "severity": severity,
        }
    within = f" and ({test.where})" if test.where else ""
    table = f"{SCHEMA}.{quoted(model.relation)}"
    return {
        "type": "sql",
        "query": f"select count(*) from {table} where ({condition}){within}",
        "mustBe": 0,
        "severity": severity,
    }


def _broken(test: DataTest) -> str | None:
    """SQL that holds in the rows that break the test's rule."""
    if test.kind == "expression_is_true":
        return f"not coalesce({test.arguments['expression']}, false)"
    if test.kind == "accepted_range" and test.column is not None:
        bounds = {"<": test.arguments.get("min_value"), ">": test.arguments.get("max_value")}
        return " or ".join(
            f"{quoted(test.column)} {sign} {value}"
            for sign, value in bounds.items()
            if value is not None
        )
    return None
