"""Which schemas the target's tables stand in.

A suite names a schema as `<schema>` (the target's own, where the public tables are) or as
`<schema>_intermediate`, so that the same file judges every target.
"""

import os
import re
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment
from jinja2.exceptions import TemplateError

from flywheel.errors import FlywheelError
from flywheel.files import read_yaml

DEFAULT = "main"

_PLACEHOLDER = re.compile(r"<schema>(_\w+)?")


def target_schema(project: Path) -> str:
    """The schema of the dbt target in use, as the project's `profiles.yml` says.

    Asking dbt itself would cost seconds, so the file is rendered with the one function of dbt
    that profiles use, `env_var`.

    Args:
        project: folder of `dbt_project.yml` and `profiles.yml`; without them it is `main`.

    Raises:
        FlywheelError: the file cannot be rendered, or has no such profile or target.
    """
    path = project / "profiles.yml"
    if not path.exists() or not (project / "dbt_project.yml").exists():
        return DEFAULT
    try:
        name = read_yaml((project / "dbt_project.yml").read_text(encoding="utf-8"))["profile"]
        # The text of each scalar is a template of its own, as for dbt.
        profile = read_yaml(path.read_text(encoding="utf-8"))[name]
        target = _render(profile.get("target", "default"))
        return _render(profile["outputs"][target]["schema"])
    except (KeyError, TypeError, TemplateError, yaml.YAMLError) as error:
        raise FlywheelError(
            f"{path} does not say which schema the target uses ({_one_line(error)}); give the "
            "profile named in dbt_project.yml a target with a schema."
        ) from error


def resolve_name(text: str, schema: str) -> str:
    """A schema's name with the placeholder filled in, unquoted."""
    return _PLACEHOLDER.sub(lambda match: schema + (match[1] or ""), text)


def resolve_sql(text: str, schema: str) -> str:
    """A query with each placeholder replaced by a quoted identifier."""
    return _PLACEHOLDER.sub(lambda match: quote(schema + (match[1] or "")), text)


def quote(name: str) -> str:
    """An identifier that no character in it can break out of."""
    return '"' + name.replace('"', '""') + '"'


def _render(value: Any) -> str:
    return Environment().from_string(str(value)).render(env_var=_env_var)


def _env_var(name: str, default: str | None = None) -> str:
    value = os.environ.get(name, default)
    if value is None:
        raise KeyError(name)
    return value


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
