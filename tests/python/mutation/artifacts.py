"""What a finished `dbt build` left behind: the SQL of each model and of each test of it."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from flywheel.errors import FlywheelError


@dataclass(frozen=True)
class Model:
    """A built model: its relation as SQL names it, and the SQL that dbt compiled."""

    name: str
    unique_id: str
    relation: str
    kind: str
    sql: str
    parents: frozenset[str]
    is_mart: bool
    has_contract: bool


@dataclass(frozen=True)
class UnitTest:
    """A unit test: the model's SQL over its fixtures, and the query around it that dbt ran."""

    name: str
    model: str
    model_sql: str
    sql: str

    def around(self, model_sql: str) -> str:
        """The query that compares another SQL of the model with the expected rows."""
        return self.sql.replace(self.model_sql, model_sql)


@dataclass(frozen=True)
class DataTest:
    """A generic or singular test; `sql` returns whether it fails."""

    name: str
    sql: str
    models: frozenset[str]


@dataclass(frozen=True)
class Built:
    """A warehouse and the SQL it was built and tested with, all by `unique_id`."""

    warehouse: Path
    models: dict[str, Model] = field(repr=False)
    unit_tests: dict[str, list[UnitTest]] = field(repr=False)
    data_tests: list[DataTest] = field(repr=False)

    def model(self, name: str) -> Model:
        """The model of that name."""
        for model in self.models.values():
            if model.name == name:
                return model
        raise FlywheelError(f"No model is named {name}; see models/ for the names.")

    @cached_property
    def _children(self) -> dict[str, set[str]]:
        children: dict[str, set[str]] = {name: set() for name in self.models}
        for model in self.models.values():
            for parent in model.parents & self.models.keys():
                children[parent].add(model.unique_id)
        return children

    def descendants(self, unique_id: str) -> set[str]:
        """Every model that reads this one, through others too."""
        found: set[str] = set()
        open_ends = [unique_id]
        while open_ends:
            new = self._children[open_ends.pop()] - found
            found |= new
            open_ends += new
        return found

    def children(self, unique_id: str) -> list[Model]:
        """The models that read this one directly, in an order in which they can be built."""
        order = {name: i for i, name in enumerate(self.models)}
        return [self.models[name] for name in sorted(self._children[unique_id], key=order.get)]

    def tests_of(self, unique_id: str, rebuilt: set[str]) -> list[DataTest]:
        """Data tests of a model, or of models rebuilt after it, that read nothing stale."""
        stale = self.descendants(unique_id) - rebuilt
        fresh = {unique_id} | rebuilt
        return [t for t in self.data_tests if t.models & fresh and not t.models & stale]


def read_build(home: Path) -> Built:
    """Read the folder of a finished `dbt build` (warehouse.duckdb and target/)."""
    target = home / "target"
    try:
        manifest = json.loads((target / "manifest.json").read_text())
        results = json.loads((target / "run_results.json").read_text())["results"]
    except FileNotFoundError as error:
        raise FlywheelError(f"{error.filename} is missing: run `dbt build` first.") from None
    failed = [r["unique_id"] for r in results if r["status"] not in ("success", "pass", "warn")]
    if failed:
        raise FlywheelError(f"The unchanged project fails already: {', '.join(failed)}.")
    compiled = {r["unique_id"]: r.get("compiled_code") for r in results}

    models = {}
    # In the order of the results, which is one in which they can be built.
    for name in compiled:
        if name.startswith("model."):
            models[name] = _model(manifest["nodes"][name], compiled[name])
    unit_tests: dict[str, list[UnitTest]] = {name: [] for name in models}
    for name, node in manifest["unit_tests"].items():
        if compiled.get(name):
            (model,) = node["depends_on"]["nodes"]
            unit_tests[model].append(_unit_test(node, model, compiled[name], target))
    data_tests = [
        _data_test(node, compiled[name])
        for name, node in manifest["nodes"].items()
        if node["resource_type"] == "test" and compiled.get(name)
    ]
    return Built(home / "warehouse.duckdb", models, unit_tests, data_tests)


def _model(node: dict[str, Any], sql: str) -> Model:
    return Model(
        name=node["name"],
        unique_id=node["unique_id"],
        relation=f'"{node["schema"]}"."{node["alias"]}"',
        kind="view" if node["config"]["materialized"] == "view" else "table",
        sql=sql,
        parents=frozenset(node["depends_on"]["nodes"]),
        is_mart=node["path"].startswith("marts/"),
        has_contract=node["contract"]["enforced"],
    )


def _unit_test(node: dict[str, Any], model: str, sql: str, target: Path) -> UnitTest:
    folder = target / "run" / node["package_name"] / node["original_file_path"]
    (path,) = folder.rglob(f"{node['name']}.sql")
    around = path.read_text()
    if around.count(sql.strip()) != 1:
        raise FlywheelError(f"{path} does not hold the SQL of the model it tests.")
    return UnitTest(node["name"], model, sql.strip(), around)


def _data_test(node: dict[str, Any], sql: str) -> DataTest:
    config = node["config"]
    question = f"select {config['fail_calc']} {config['error_if']} from ({sql}\n) as failures"
    # A warning stops nobody.
    if config["severity"].lower() != "error":
        question = "select false"
    limit = config.get("limit")
    if limit is not None:
        raise FlywheelError(f"{node['name']} has a limit, which the mutation check cannot read.")
    return DataTest(node["name"], question, frozenset(node["depends_on"]["nodes"]))
