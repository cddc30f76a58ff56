"""A small manifest that keeps every house rule, to break in tests."""

from typing import Any

from flywheel.contract.manifest import Project, read_project

TINY_SQL = "with\n\nfinal as (\n\n    select 1 as one\n\n)\n\nselect * from final\n"


def model(name: str, folder: str, *, reads: tuple[str, ...] = (), **given: Any) -> dict[str, Any]:
    """A model node as a manifest holds it, with two described columns."""
    mart = folder.startswith("marts")
    config = {
        "materialized": "table",
        "on_schema_change": "ignore",
        "group": "behavior",
        "meta": {},
        "persist_docs": {"relation": True, "columns": mart},
    }
    return {
        "unique_id": f"model.tiny.{name}",
        "resource_type": "model",
        "package_name": "tiny",
        "name": name,
        "alias": name,
        "schema": "main",
        "path": f"{folder}/{name}.sql",
        "description": "One row per thing.",
        "raw_code": TINY_SQL,
        "config": config,
        "columns": {
            c: {"name": c, "data_type": "string", "description": f"The {c}."}
            for c in ("thing_id", "colour")
        },
        "access": "public" if mart else "private",
        "group": "behavior",
        "contract": {"enforced": mart},
        "version": None,
        "deprecation_date": None,
        "depends_on": {"nodes": list(reads)},
        **given,
    }


def data_test(kind: str, attached: str, column: str | None, **arguments: Any) -> dict[str, Any]:
    """A generic data test as a manifest holds it."""
    return {
        "unique_id": f"test.tiny.{kind}_{attached}_{column}",
        "resource_type": "test",
        "package_name": "tiny",
        "attached_node": f"model.tiny.{attached}",
        "column_name": column,
        "test_metadata": {"name": kind, "kwargs": {"column_name": column, **arguments}},
        "config": {"severity": "ERROR", "where": None},
        "depends_on": {"nodes": [f"model.tiny.{attached}"]},
    }


def tiny() -> dict[str, Any]:
    """A manifest that keeps every rule: one model in each layer, and marts of two areas."""
    models = [
        model("stg_ubi__things", "staging/ubi", reads=("source.tiny.raw.lines",)),
        model("int_things", "intermediate/behavior", reads=("model.tiny.stg_ubi__things",)),
        model("fct_things", "marts/behavior", reads=("model.tiny.int_things",)),
        model("int_labels", "intermediate/training", reads=("model.tiny.fct_things",)),
        model("fct_labels", "marts/training", reads=("model.tiny.int_labels",)),
    ]
    tests = [data_test("unique", node["name"], "thing_id") for node in models]
    tests += [
        data_test("required_columns", node["name"], None, columns=["thing_id"]) for node in models
    ]
    return {
        "metadata": {"project_name": "tiny"},
        "nodes": {node["unique_id"]: node for node in (*models, *tests)},
        "groups": {
            "group.tiny.behavior": {
                "name": "behavior",
                "package_name": "tiny",
                "owner": {"name": "Behaviour", "email": "behavior@tiny.example"},
            }
        },
        "exposures": {
            "exposure.tiny.report": {
                "name": "report",
                "description": "A page.",
                "maturity": "high",
                "owner": {"name": "Behaviour", "email": "behavior@tiny.example"},
                "depends_on": {"nodes": ["model.tiny.fct_things"]},
            }
        },
        "macros": {
            "macro.tiny.ratio": {
                "name": "ratio",
                "package_name": "tiny",
                "description": "One over the other.",
                "macro_sql": "{% macro ratio(over, under=1) -%} x {%- endmacro %}",
                "arguments": [
                    {"name": "over", "type": "any", "description": "SQL."},
                    {"name": "under", "type": "any", "description": "SQL."},
                ],
            }
        },
        "sources": {"source.tiny.raw.lines": {"description": "One row per line."}},
    }


VARS_PAGE = "| var | default | meaning |\n|---|---|---|\n| `min_things` | 3 | how many |\n"


def project(manifest: dict[str, Any], *, vars_page: str = VARS_PAGE, **variables: Any) -> Project:
    """Read the manifest with the vars given (default: the one that the page describes)."""
    declared = {"version": "1.0.0", "vars": variables or {"min_things": 3}}
    return read_project(manifest, declared=declared, vars_page=vars_page)
