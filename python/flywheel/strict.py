"""The strict gate: every deprecation of dbt, every wrong macro argument, every breach of policy.

dbt runs most of its deprecation checks for four cloud warehouses only; here DuckDB is added to
them, so that the project stays ready for dbt's next major version. The parse leaves a manifest, on
which the house rules of `flywheel.contract.policy` are checked, and that no var shapes the parse
(`flywheel.contract.shape`). Needs no network and no database.
"""

import json
import sys
import tempfile
from pathlib import Path

from flywheel.contract import policy, shape
from flywheel.contract.manifest import load_project
from flywheel.errors import FlywheelError
from flywheel.settings import load_settings


def strict_parse(target: Path) -> bool:
    """Parse the project with deprecations as errors; dbt prints what is wrong.

    Args:
        target: folder for the manifest.

    Raises:
        FlywheelError: this dbt version has no list of checked adapters to add DuckDB to.
    """
    from dbt.cli.main import dbtRunner
    from dbt.jsonschemas import jsonschemas

    checked = getattr(jsonschemas, "_JSONSCHEMA_SUPPORTED_ADAPTERS", None)
    if checked is None:
        raise FlywheelError(
            "dbt no longer keeps a list of adapters whose projects it checks strictly; "
            "look for its successor and mend flywheel/strict.py."
        )
    checked.add("duckdb")
    project = str(load_settings().project)
    arguments = ["--quiet", "--warn-error-options", '{"error": ["Deprecations"]}', "parse"]
    arguments += ["--no-partial-parse", "--show-all-deprecations", "--target-path", str(target)]
    arguments += ["--project-dir", project, "--profiles-dir", project]
    return bool(dbtRunner().invoke(arguments).success)


def main() -> int:
    """Run the gate; print what is wrong.

    Returns:
        The exit status: 0 if nothing is.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            if not strict_parse(Path(folder)):
                return 1
        except FlywheelError as error:
            print(f"strict: {error}")
            return 1
        manifest = json.loads((Path(folder) / "manifest.json").read_text(encoding="utf-8"))
    project = load_project(manifest, load_settings().project)
    found = policy.breaches(project) + shape.breaches(manifest)
    for sentence in found:
        print(f"policy: {sentence}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
