"""The strict parse: every deprecation of dbt, and every wrong macro argument, is an error.

dbt runs most of its deprecation checks for four cloud warehouses only; here DuckDB is added to
them, so that the project stays ready for dbt's next major version. Needs no network and no
database.
"""

import sys
import tempfile

from flywheel.errors import FlywheelError
from flywheel.settings import load_settings


def strict_parse() -> bool:
    """Parse the project with deprecations as errors; dbt prints what is wrong.

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
    with tempfile.TemporaryDirectory() as target:
        arguments = ["--quiet", "--warn-error-options", '{"error": ["Deprecations"]}', "parse"]
        arguments += ["--no-partial-parse", "--show-all-deprecations", "--target-path", target]
        arguments += ["--project-dir", project, "--profiles-dir", project]
        return bool(dbtRunner().invoke(arguments).success)


if __name__ == "__main__":
    sys.exit(0 if strict_parse() else 1)
