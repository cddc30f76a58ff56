"""Expectation suites as declared data: one YAML file per table.

A file is named after its table and reads

    table: fct_searches
    gate: behavior                # raw, behavior or training
    schema: <schema>              # the target's own; or <schema>_intermediate
    description: One row per search shown to a user.
    may_be_empty:                 # optional
      when: select ...            # one boolean; true: an empty table is skipped, not judged
      reason: why that is right
    expectations:
      - type: expect_column_values_to_be_unique
        kwargs: {column: search_id}
        severity: stop            # stop or warn
        reason: What goes wrong downstream if this does not hold.

`type` and `kwargs` are Great Expectations' own, and `expect_no_drift` with the measure's name. An
`unexpected_rows_expectation` names the columns its query judges under `columns`, so that a message
can name them too. Queries write `{batch}` for the table, and `<schema>.` before others.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from flywheel.errors import FlywheelError
from flywheel.files import read_yaml
from flywheel.validation import schemas

GATES = ("raw", "behavior", "training")
SEVERITIES = ("stop", "warn")
SUITES = Path(__file__).parent / "suites"

_SUITE_KEYS = {"table", "gate", "schema", "description", "may_be_empty", "expectations"}
_RULE_KEYS = {"type", "kwargs", "severity", "reason", "columns"}


@dataclass(frozen=True)
class Rule:
    """One expectation about one table.

    Attributes:
        id: the same until table, type, columns or arguments change; not the target's schema.
        type: Great Expectations' name of the expectation.
        kwargs: its arguments.
        severity: `stop` (the gate fails) or `warn` (the report says so).
        reason: what goes wrong downstream if it does not hold.
        columns: the columns it judges; empty when it judges the table.
    """

    id: str
    type: str
    kwargs: dict[str, Any]
    severity: str
    reason: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Suite:
    """All rules about one table.

    Attributes:
        gate: raw, behavior or training.
        table: the table's name.
        schema: its schema.
        description: what one row of it is.
        rules: in file order.
        empty_when: SQL giving one boolean; true means that an empty table is no fault.
        empty_reason: why.
        path: the file it was read from.
    """

    gate: str
    table: str
    schema: str
    description: str
    rules: tuple[Rule, ...]
    empty_when: str | None
    empty_reason: str | None
    path: Path

    @property
    def name(self) -> str:
        """`<gate>.<table>`, the suite's name in Data Docs."""
        return f"{self.gate}.{self.table}"


def load_suites(
    gates: Iterable[str] = GATES, folder: Path = SUITES, *, schema: str = schemas.DEFAULT
) -> list[Suite]:
    """Read the declared suites of some gates, by gate and then table.

    Args:
        gates: any of raw, behavior, training.
        folder: holds one file per table.
        schema: what `<schema>` stands for.

    Raises:
        FlywheelError: an unknown gate, or a file that does not follow the format.
    """
    gates = tuple(gates)
    for gate in gates:
        if gate not in GATES:
            raise FlywheelError(f"There is no gate named {gate!r}; use {', '.join(GATES)}.")
    suites = [_read_suite(path, schema) for path in sorted(folder.glob("*.yml"))]
    return [suite for gate in gates for suite in suites if suite.gate == gate]


def _read_suite(path: Path, schema: str) -> Suite:
    try:
        content = read_yaml(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise FlywheelError(f"{path} is not valid YAML ({_one_line(error)}); mend it.") from error
    if not isinstance(content, dict):
        raise FlywheelError(f"{path} must be a mapping with `table`, `gate` and `expectations`.")
    required = {"table", "gate", "schema", "expectations"}
    _check_keys(path, "the suite", content, _SUITE_KEYS, required)
    if content["table"] != path.stem:
        raise FlywheelError(f"{path} is about {content['table']}; name the file after its table.")
    if content["gate"] not in GATES:
        raise FlywheelError(f"{path} has gate {content['gate']!r}; use {', '.join(GATES)}.")
    empty = content.get("may_be_empty") or {}
    if empty:
        _check_keys(path, "may_be_empty", empty, {"when", "reason"}, {"when", "reason"})
    rules = tuple(_read_rule(path, rule, schema) for rule in content["expectations"])
    twice = {rule.id for rule in rules if [each.id for each in rules].count(rule.id) > 1}
    for rule in rules:
        if rule.id in twice:
            raise FlywheelError(f"{path}: expectation {rule.type} stands twice; remove one.")
    return Suite(
        gate=content["gate"],
        table=content["table"],
        schema=schemas.resolve_name(content["schema"], schema),
        description=" ".join(str(content.get("description", "")).split()),
        rules=rules,
        empty_when=schemas.resolve_sql(empty["when"], schema) if empty else None,
        empty_reason=empty.get("reason"),
        path=path,
    )


def _read_rule(path: Path, content: dict[str, Any], schema: str) -> Rule:
    label = f"expectation {content.get('type', '(no type)')}"
    _check_keys(path, label, content, _RULE_KEYS, {"type", "severity", "reason"})
    if content["severity"] not in SEVERITIES:
        raise FlywheelError(
            f"{path}: {label} has severity {content['severity']!r}; use stop or warn."
        )
    kwargs = dict(content.get("kwargs") or {})
    columns = tuple(content.get("columns") or _columns(kwargs))
    # Before the schema is filled in, so that the same rule has one id in every target.
    identity = _identity(path.stem, content["type"], columns, kwargs)
    if "unexpected_rows_query" in kwargs:
        kwargs["unexpected_rows_query"] = schemas.resolve_sql(
            kwargs["unexpected_rows_query"], schema
        )
    return Rule(
        id=identity,
        type=content["type"],
        kwargs=kwargs,
        severity=content["severity"],
        reason=" ".join(str(content["reason"]).split()).rstrip("."),
        columns=columns,
    )


def _identity(table: str, kind: str, columns: tuple[str, ...], kwargs: dict[str, Any]) -> str:
    """Twelve hexadecimal digits; how a query is laid out does not matter."""
    plain = {k: " ".join(v.split()) if isinstance(v, str) else v for k, v in kwargs.items()}
    text = json.dumps([table, kind, columns, plain], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _columns(kwargs: dict[str, Any]) -> list[str]:
    if "column_list" in kwargs:
        return list(kwargs["column_list"])
    return [kwargs[key] for key in ("column", "column_A", "column_B") if key in kwargs]


def _check_keys(
    path: Path, label: str, content: dict[str, Any], allowed: set[str], required: set[str]
) -> None:
    unknown = sorted(set(content) - allowed)
    if unknown:
        raise FlywheelError(f"{path}: {label} has the unknown key {unknown[0]!r}; remove it.")
    missing = sorted(required - set(content))
    if missing:
        raise FlywheelError(f"{path}: {label} lacks the key {missing[0]!r}; add it.")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
