"""The formats of logs, as each is declared beside its models."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from flywheel.errors import FlywheelError
from flywheel.files import read_yaml
from flywheel.settings import load_settings

KIND_NAMES = {"ndjson": "NDJSON", "csv": "CSV", "parquet": "Parquet"}


@dataclass(frozen=True)
class LogFormat:
    """A format of logs (`models/staging/<format>/_<format>__sources.yml`).

    Attributes:
        name: what the var `log_format` calls it.
        noun: what people call such a log.
        variables: the vars that name its files.
        kinds: of files that it is read from: `ndjson`, `csv`, `parquet`.
        reader: `rows`, a row for each document shown, or `lines`, documents of many kinds.
        staged_in: the model that keeps its rows.
        names: what a log calls columns, by their names in `staged_in`'s source, where it differs.
        required: columns without which its rows say nothing, as a log calls them.
        marks: fields of which each of its documents has one.
        identity: columns of `staged_in` that say whose a row is: `search_key`, `search_id`,
            `client_id`, `user_id`, `session_id` and `text`; null where there is none.
    """

    name: str
    noun: str
    variables: tuple[str, ...]
    kinds: tuple[str, ...]
    reader: str
    staged_in: str
    names: Mapping[str, str]
    required: tuple[str, ...]
    marks: tuple[str, ...]
    identity: Mapping[str, str]

    @property
    def kinds_in_words(self) -> str:
        """As in `NDJSON or Parquet`."""
        names = [KIND_NAMES[kind] for kind in self.kinds]
        return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)

    def called(self, column: str) -> str:
        """What a log of this format calls a column."""
        return self.names.get(column, column)

    def setting(self, path: str = "PATH") -> str:
        """The options that name a log of this format."""
        named = " ".join(f"--var {name}={path}" for name in self.variables)
        return f"--var log_format={self.name} {named}"


def log_formats(project: Path | None = None) -> Mapping[str, LogFormat]:
    """The formats that a project declares, by name.

    Args:
        project: the dbt project's folder; the one in use by default, or where it declares none.

    Raises:
        FlywheelError: one is declared to be like another that is not declared.
    """
    return (project and _read(project)) or _read(load_settings().project)


@lru_cache(maxsize=8)
def _read(project: Path) -> Mapping[str, LogFormat]:
    tables = {}
    for path in sorted((project / "models" / "staging").glob("*/_*__sources.yml")):
        for source in read_yaml(path.read_text(encoding="utf-8"))["sources"]:
            for table in source["tables"]:
                meta = table.get("config", {}).get("meta", {})
                if "format" in meta:
                    tables[meta["format"]] = (meta, table.get("columns", []))
    formats = {}
    for name, (meta, _) in tables.items():
        like = meta.get("like", name)
        if like not in tables:
            raise FlywheelError(
                f"The log format {name} is declared to be like {like}, which is no log format."
            )
        other, its_columns = tables[like]
        formats[name] = _declared({**other, **meta}, its_columns)
    return formats


def _declared(meta: Mapping[str, Any], columns: list[Mapping[str, Any]]) -> LogFormat:
    names = meta.get("names", {})

    def having(mark: str) -> tuple[str, ...]:
        marked = [c["name"] for c in columns if c.get("config", {}).get("meta", {}).get(mark)]
        return tuple(names.get(name, name) for name in marked)

    return LogFormat(
        name=meta["format"],
        noun=meta["noun"],
        variables=tuple(meta["vars"]),
        kinds=tuple(meta["files"]),
        reader=meta["reader"],
        staged_in=meta["staged_in"],
        names=names,
        required=having("is_required"),
        marks=having("is_mark"),
        identity=meta["identity"],
    )
