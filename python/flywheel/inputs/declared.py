"""The formats of logs, as each is declared beside its models."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

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
        required: columns without which its rows say nothing.
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
    required: tuple[str, ...]
    marks: tuple[str, ...]
    identity: Mapping[str, str]

    @property
    def kinds_in_words(self) -> str:
        """As in `NDJSON or Parquet`."""
        names = [KIND_NAMES[kind] for kind in self.kinds]
        return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)

    def setting(self, path: str = "PATH") -> str:
        """The options that name a log of this format."""
        named = " ".join(f"--var {name}={path}" for name in self.variables)
        return f"--var log_format={self.name} {named}"


def log_formats(project: Path | None = None) -> Mapping[str, LogFormat]:
    """The formats that a project declares, by name.

    Args:
        project: the dbt project's folder; the one in use by default, or where it declares none.
    """
    return (project and _read(project)) or _read(load_settings().project)


@lru_cache(maxsize=8)
def _read(project: Path) -> Mapping[str, LogFormat]:
    formats = {}
    for path in sorted((project / "models" / "staging").glob("*/_*__sources.yml")):
        for source in read_yaml(path.read_text(encoding="utf-8"))["sources"]:
            for table in source["tables"]:
                meta = table.get("config", {}).get("meta", {})
                if "format" in meta:
                    formats[meta["format"]] = _declared(meta, table.get("columns", []))
    return formats


def _declared(meta: Mapping[str, Any], columns: list[Mapping[str, Any]]) -> LogFormat:
    def having(mark: str) -> tuple[str, ...]:
        return tuple(c["name"] for c in columns if c.get("config", {}).get("meta", {}).get(mark))

    return LogFormat(
        name=meta["format"],
        noun=meta["noun"],
        variables=tuple(meta["vars"]),
        kinds=tuple(meta["files"]),
        reader=meta["reader"],
        staged_in=meta["staged_in"],
        required=having("is_required"),
        marks=having("is_mark"),
        identity=meta["identity"],
    )
