"""Render the project's macros and models without dbt, to run them on made-up tables.

dbt needs seconds per run; a simulation that calls one macro a hundred times needs milliseconds.
Only what macros use of dbt is stood in for. That the project builds under dbt itself is tested by
`dbt build`.
"""

import functools
import json
import re
from pathlib import Path
from types import CodeType, SimpleNamespace
from typing import Any

import duckdb
import jinja2
import yaml

PROJECT = Path(__file__).parents[2]


class _ReturnError(Exception):
    """What dbt's `return()` raises to leave a macro with a value."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


class _Row(dict[str, Any]):
    """A row as dbt's are: its values by name or by place."""

    def __getitem__(self, key: str | int) -> Any:
        return list(self.values())[key] if isinstance(key, int) else super().__getitem__(key)


def _rows(sql: str) -> list[_Row]:
    found = duckdb.sql(sql)
    return [_Row(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def _environment() -> jinja2.Environment:
    return jinja2.Environment(extensions=["jinja2.ext.do"], undefined=jinja2.StrictUndefined)


@functools.cache
def _compiled(text: str) -> CodeType:
    """A template's code: which globals it is given does not shape it, so all projects share it."""
    return _environment().compile(text)


@functools.cache
def _log_sources() -> dict[str, dict[str, Any]]:
    """Sources of logs as dbt's graph has them."""
    return {
        table["name"]: {"name": table["name"], "config": table["config"]}
        for path in (PROJECT / "models" / "staging").glob("*/_*__sources.yml")
        for source in yaml.safe_load(path.read_text())["sources"]
        for table in source["tables"]
    }


class SqlProject:
    """The macros of the project, and its models over plain table names.

    Args:
        variables: vars that differ from those of dbt_project.yml.
        has_schemas: sources and intermediate models are named with their schemas.
    """

    def __init__(self, *, has_schemas: bool = False, **variables: Any) -> None:
        config = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())
        self._variables = config["vars"] | variables
        self._environment = _environment()
        self._environment.globals |= {
            "var": self.variable,
            "ref": lambda name: (
                f"main_intermediate.{name}"
                if has_schemas and name.startswith("int_")
                else self._ref(name)
            ),
            "source": lambda schema, name: f"{schema}.{name}" if has_schemas else name,
            "config": lambda **_: "",
            "is_incremental": lambda: False,
            "execute": True,
            "graph": {"sources": _log_sources()},
            "run_query": lambda sql: SimpleNamespace(rows=_rows(sql)),
            "return": self._return,
            "tojson": lambda value, sort_keys=False: json.dumps(value, sort_keys=sort_keys),
            "adapter": SimpleNamespace(dispatch=self._dispatch),
            "dbt": SimpleNamespace(array_construct=lambda _, kind: f"cast([] as {kind}[])"),
            "exceptions": SimpleNamespace(raise_compiler_error=self._fail),
        }
        # A macro may call any other, so all names exist before the first file is read.
        # Each stands alone, or `return` in one would leave its neighbour that called it, too.
        files = [
            text
            for path in sorted((PROJECT / "macros").rglob("*.sql"))
            for text in re.findall(r"{%-? *macro .+?endmacro *-?%}", path.read_text(), re.DOTALL)
        ]
        self._macros: dict[str, jinja2.runtime.Macro] = {}
        for name in re.findall(r"{%-? *macro +(\w+)", "\n".join(files)):
            self._environment.globals[name] = functools.partial(self.macro, name)
        for text in files:
            module = self._template(text).module
            self._macros |= {
                name: macro
                for name, macro in vars(module).items()
                if isinstance(macro, jinja2.runtime.Macro)
            }

    def macro(self, name: str, *arguments: Any, **named: Any) -> Any:
        """What the macro renders to (or returns)."""
        try:
            return self._macros[name](*arguments, **named)
        except _ReturnError as result:
            return result.value

    def model(self, name: str) -> str:
        """SQL of a model; every `ref` and `source` is the bare table name, but for seeds."""
        (path,) = (PROJECT / "models").rglob(f"{name}.sql")
        return self._template(path.read_text()).render()

    def build(self, connection: Any, *names: str) -> None:
        """Create a table per model, in the given order."""
        for name in names:
            connection.execute(f"create or replace table {name} as {self.model(name)}")

    def variable(self, name: str, *default: Any) -> Any:
        """Value of a var."""
        return self._variables.get(name, *default) if default else self._variables[name]

    def _template(self, text: str) -> jinja2.Template:
        environment = self._environment
        return jinja2.Template.from_code(environment, _compiled(text), environment.globals)

    def _dispatch(self, name: str, package: str = "") -> Any:
        return functools.partial(self.macro, f"default__{name}")

    @staticmethod
    def _ref(name: str) -> str:
        """A model's bare name; a seed is read where it stands."""
        seed = PROJECT / "seeds" / f"{name}.csv"
        return f"read_csv('{seed}')" if seed.exists() else name

    @staticmethod
    def _return(value: Any) -> None:
        raise _ReturnError(value)

    @staticmethod
    def _fail(message: str) -> None:
        raise ValueError(message)
