"""What the vars name: the paths of a build's input."""

from pathlib import Path
from typing import Any

from flywheel.errors import FlywheelError
from flywheel.files import read_yaml


def path_value(name: str, value: Any) -> str:
    """The path that a var names; empty where it names none.

    Raises:
        FlywheelError: the var is no path.
    """
    if value is None:
        return ""
    if not isinstance(value, str | Path):
        raise FlywheelError(
            f"{name} is {value!r}; it must be one path: a file, a glob or a directory."
        )
    return str(value).strip()


def project_vars(project: Path) -> dict[str, Any]:
    """The vars of a project's `dbt_project.yml`."""
    text = (project / "dbt_project.yml").read_text(encoding="utf-8")
    return read_yaml(text).get("vars", {})
