"""dbt vars given on the command line, and the ones remembered from the last build."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from flywheel.errors import FlywheelError
from flywheel.files import read_yaml, write_atomic
from flywheel.inputs.declared import log_formats
from flywheel.settings import Settings

PATH_VARS = ("raw_queries", "raw_events", "flat_log", "ranking_features")
ONE_RUN_VARS = ("backfill_start", "backfill_end", "allow_full_refresh")
"""Vars that speak of one run; remembered, they would silently speak of every later one."""


def parse(assignments: Iterable[str], project: Path) -> dict[str, Any]:
    """Read `NAME=VALUE` pairs; values are YAML, paths become absolute.

    Raises:
        FlywheelError: a pair has no `=`, or names a var that the project does not have.
    """
    known = read_yaml((project / "dbt_project.yml").read_text(encoding="utf-8"))["vars"]
    variables: dict[str, Any] = {}
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        if not separator:
            raise FlywheelError(f"--var {assignment} has no '='; write --var NAME=VALUE.")
        if name not in known:
            raise FlywheelError(
                f"The project has no var called {name}; docs/vars.md lists those it has."
            )
        if name in PATH_VARS:
            variables[name] = absolute(text) if text else ""
            continue
        try:
            variables[name] = yaml.safe_load(text) if text else ""
        except yaml.YAMLError as error:
            raise FlywheelError(
                f"The value of --var {name} cannot be read as YAML; quote it."
            ) from error
    return variables


def value(settings: Settings, given: Mapping[str, Any], name: str) -> Any:
    """A var's value: as given, else the project's default."""
    text = (settings.project / "dbt_project.yml").read_text(encoding="utf-8")
    return given.get(name, read_yaml(text)["vars"][name])


def for_log(path: str, log_format: str, features: str | None) -> dict[str, Any]:
    """The vars that point the project at somebody's own log."""
    log = absolute(path)
    variables: dict[str, Any] = {
        "log_format": log_format,
        "ranking_features": absolute(features) if features else "",
    }
    return {**variables, **dict.fromkeys(log_formats()[log_format].variables, log)}


def absolute(path: str) -> str:
    """The path from the root, so that dbt reads the same file from the project's folder."""
    return str(Path(path).expanduser().absolute())


def remembered(settings: Settings) -> dict[str, Any]:
    """The vars of the last build, so that later commands read the same log."""
    try:
        return dict(json.loads(_file(settings).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        raise FlywheelError(
            f"{_file(settings)} cannot be read; delete it and give the vars again."
        ) from error


def remember(settings: Settings, variables: Mapping[str, Any]) -> None:
    """Keep the vars for the commands that follow."""
    kept = {name: given for name, given in variables.items() if name not in ONE_RUN_VARS}
    text = json.dumps(kept, indent=2, sort_keys=True) + "\n"
    write_atomic(_file(settings), text.encode())


def _file(settings: Settings) -> Path:
    return settings.home / "vars.json"
