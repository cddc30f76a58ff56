"""The dbt project as its manifest describes it: models, columns, tests, groups, exposures, macros.

`read_project` takes any manifest.json (schema v12), so that rules can be tested on small ones.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flywheel import parsed
from flywheel.errors import FlywheelError
from flywheel.files import read_yaml
from flywheel.settings import Settings


@dataclass(frozen=True)
class Column:
    """A column as the YAML lists it; empty texts where the YAML says nothing."""

    name: str
    data_type: str
    description: str


@dataclass(frozen=True)
class DataTest:
    """A generic data test of a model.

    Attributes:
        kind: required_columns, unique, relationships and so on.
        column: the column it stands under; None for a test of the whole model.
        arguments: what the YAML gives it, without column and model.
        refers_to: unique id of the other table it reads; None where it reads none.
        where: the rows it looks at; None means all.
        stops: whether a failure is an error, not a warning.
    """

    kind: str
    column: str | None
    arguments: Mapping[str, Any]
    refers_to: str | None
    where: str | None
    stops: bool

    @property
    def is_promise(self) -> bool:
        """Whether it holds for every row of the table, or the build fails."""
        return self.stops and self.where is None


@dataclass(frozen=True)
class Model:
    """A model as YAML and configuration describe it.

    Attributes:
        name: its name in the project; `relation` is the table's (they differ for versions).
        schema: where it is built, for example main or main_staging.
        folder: where its file stands under models/, for example marts/behavior.
        reads: unique ids of the nodes it reads.
        further_columns: prefix of columns that come with the user's data and are not listed.
        has_column_comments: whether the columns' descriptions are written into the warehouse.
        strategy: how an incremental model takes in what is new.
        replaces: the scopes that a build replaces in it, each with its columns.
        sql: its text as written.
        has_predicates: whether it sets dbt's incremental_predicates.
    """

    unique_id: str
    name: str
    relation: str
    schema: str
    folder: str
    materialized: str
    on_schema_change: str
    description: str
    columns: tuple[Column, ...]
    tests: tuple[DataTest, ...]
    access: str
    group: str | None
    has_contract: bool
    version: str | None
    deprecation_date: str | None
    reads: tuple[str, ...]
    further_columns: str | None
    has_column_comments: bool
    strategy: str | None
    replaces: Mapping[str, Any]
    sql: str
    has_predicates: bool

    @property
    def layer(self) -> str:
        """Staging, intermediate or marts, in lower case."""
        return self.folder.split("/")[0]

    @property
    def area(self) -> str:
        """The folder inside the layer, for example behavior."""
        return self.folder.split("/")[1] if "/" in self.folder else ""

    @property
    def key(self) -> tuple[str, ...]:
        """Columns that name a row, proved by a test; empty where none is or one row is all."""
        combinations = [t for t in self.tests if t.kind == "unique_combination" and t.is_promise]
        if combinations:
            return tuple(combinations[0].arguments["columns"])
        single = [t.column for t in self.tests if t.kind == "unique" and t.is_promise and t.column]
        return tuple(single[:1])

    @property
    def has_one_row(self) -> bool:
        """Whether a test proves that the table has one row."""
        return any(t.kind == "one_row" and t.is_promise for t in self.tests)

    @property
    def required(self) -> frozenset[str]:
        """Columns that a test proves to be never null: one by itself, or several in one scan."""
        promises = [t for t in self.tests if t.is_promise]
        single = {t.column for t in promises if t.kind == "not_null" and t.column}
        several = [t.arguments["columns"] for t in promises if t.kind == "required_columns"]
        return frozenset(single.union(*several))

    @property
    def unique(self) -> frozenset[str]:
        """Columns that a test proves to hold no value twice."""
        return frozenset(
            t.column for t in self.tests if t.kind == "unique" and t.is_promise and t.column
        )


@dataclass(frozen=True)
class Owner:
    """Who answers for a group or an exposure."""

    name: str
    email: str


@dataclass(frozen=True)
class Exposure:
    """A consumer of the tables."""

    name: str
    description: str
    maturity: str | None
    owner: Owner
    reads: tuple[str, ...]


@dataclass(frozen=True)
class Macro:
    """A macro of the project: its source, and (name, type, description) of each argument."""

    name: str
    description: str
    sql: str
    arguments: tuple[tuple[str, str, str], ...]

    @property
    def signature(self) -> list[str]:
        """Names of the arguments that it takes, in order."""
        found = re.search(rf"macro\s+{self.name}\s*\(([^)]*)\)", self.sql)
        given = found[1].split(",") if found else []
        return [argument.split("=")[0].strip() for argument in given if argument.strip()]


@dataclass(frozen=True)
class Project:
    """Everything the rules and the contract look at.

    Attributes:
        version: of dbt_project.yml; the contract's version too.
        models: by name, in the order of the files.
        groups: owner by name of the group.
        sources: description by unique id of the source table.
        variables: default by name of the var.
        vars_page: text of docs/vars.md.
    """

    name: str
    version: str
    models: Mapping[str, Model]
    groups: Mapping[str, Owner]
    exposures: tuple[Exposure, ...]
    macros: tuple[Macro, ...]
    sources: Mapping[str, str]
    variables: Mapping[str, Any]
    vars_page: str

    @property
    def public(self) -> tuple[Model, ...]:
        """The public models, by name."""
        return tuple(m for _, m in sorted(self.models.items()) if m.access == "public")


def parse_project(settings: Settings) -> Project:
    """Read what dbt finds when it parses the project (seconds, unless it has; no database).

    Raises:
        FlywheelError: dbt cannot parse the project.
    """
    from flywheel.dbt import parse

    try:
        manifest = parse(settings)
    except FlywheelError as error:
        raise FlywheelError(
            "dbt cannot parse the project, so there is no contract to look at; "
            "run `dbt parse` to see why."
        ) from error
    return load_project(parsed.as_json(manifest), settings.project)


def load_project(manifest: Mapping[str, Any], project: Path) -> Project:
    """Read a manifest's content, with the vars and their page from the project's folder."""
    declared = read_yaml((project / "dbt_project.yml").read_text(encoding="utf-8"))
    page = project / "docs" / "vars.md"
    return read_project(
        manifest,
        declared=declared,
        vars_page=page.read_text(encoding="utf-8") if page.exists() else "",
    )


def read_project(
    manifest: Mapping[str, Any], *, declared: Mapping[str, Any], vars_page: str
) -> Project:
    """Make a project of a manifest, the content of dbt_project.yml and that of docs/vars.md."""
    name = manifest["metadata"]["project_name"]
    nodes = manifest["nodes"].values()
    tests: dict[str, list[DataTest]] = {}
    for node in nodes:
        if node["resource_type"] == "test" and node.get("attached_node"):
            tests.setdefault(node["attached_node"], []).append(_test(node))
    models = [
        _model(node, tuple(tests.get(node["unique_id"], ())))
        for node in nodes
        if node["resource_type"] == "model" and node["package_name"] == name
    ]
    return Project(
        name=name,
        version=str(declared.get("version") or "0.0.0"),
        models={model.name: model for model in models},
        groups={
            g["name"]: _owner(g) for g in manifest["groups"].values() if g["package_name"] == name
        },
        exposures=tuple(_exposure(e) for e in manifest["exposures"].values()),
        macros=tuple(_macro(m) for m in manifest["macros"].values() if m["package_name"] == name),
        sources={u: _words(s["description"]) for u, s in manifest["sources"].items()},
        variables=declared.get("vars") or {},
        vars_page=vars_page,
    )


def _model(node: Mapping[str, Any], tests: tuple[DataTest, ...]) -> Model:
    config = node["config"]
    version = node.get("version")
    name = node["name"] if version is None else f"{node['name']}.v{version}"
    deprecation = node.get("deprecation_date")
    return Model(
        unique_id=node["unique_id"],
        name=name,
        relation=node["alias"],
        schema=node["schema"],
        folder=node["path"].rpartition("/")[0],
        materialized=config["materialized"],
        on_schema_change=config.get("on_schema_change") or "ignore",
        description=_words(node["description"]),
        columns=tuple(
            Column(c["name"], c.get("data_type") or "", _words(c.get("description")))
            for c in node["columns"].values()
        ),
        tests=tests,
        access=node["access"],
        group=node.get("group") or config.get("group"),
        has_contract=bool(node["contract"]["enforced"]),
        version=None if version is None else str(version),
        deprecation_date=None if deprecation is None else str(deprecation)[:10],
        reads=tuple(node["depends_on"]["nodes"]),
        further_columns=(config.get("meta") or {}).get("further_columns"),
        has_column_comments=bool((config.get("persist_docs") or {}).get("columns")),
        strategy=config.get("incremental_strategy"),
        replaces=(config.get("meta") or {}).get("replaces") or {},
        sql=node["raw_code"],
        has_predicates=bool(config.get("incremental_predicates") or config.get("predicates")),
    )


def _test(node: Mapping[str, Any]) -> DataTest:
    given = node["test_metadata"]["kwargs"]
    config = node["config"]
    others = [n for n in node["depends_on"]["nodes"] if n != node["attached_node"]]
    return DataTest(
        kind=node["test_metadata"]["name"],
        column=node.get("column_name"),
        arguments={k: v for k, v in given.items() if k not in ("model", "column_name")},
        refers_to=others[0] if others else None,
        where=config.get("where"),
        stops=str(config.get("severity") or "error").lower() == "error",
    )


def _exposure(node: Mapping[str, Any]) -> Exposure:
    return Exposure(
        name=node["name"],
        description=_words(node["description"]),
        maturity=node.get("maturity"),
        owner=_owner(node),
        reads=tuple(node["depends_on"]["nodes"]),
    )


def _owner(node: Mapping[str, Any]) -> Owner:
    owner = node.get("owner") or {}
    email = owner.get("email") or ""
    return Owner(owner.get("name") or "", email if isinstance(email, str) else ", ".join(email))


def _macro(node: Mapping[str, Any]) -> Macro:
    return Macro(
        name=node["name"],
        description=_words(node["description"]),
        sql=node["macro_sql"],
        arguments=tuple(
            (a["name"], a.get("type") or "", _words(a.get("description")))
            for a in node["arguments"]
        ),
    )


def _words(text: str | None) -> str:
    """The text on one line."""
    return " ".join((text or "").split())
