"""What sqlfluff needs to know of dbt, so that models render without a warehouse.

sqlfluff's own `var()` is a placeholder that cannot be added to or compared, and it knows no
`adapter`. Here vars have the values of dbt_project.yml, and `adapter.dispatch` finds DuckDB's
macro, else the default one.
"""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from jinja2 import pass_context
from jinja2.runtime import Context

_FILE = Path(__file__).resolve().parents[3] / "dbt_project.yml"
# sqlfluff loads this module once for every file it lints, so the slow loader would count.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_VARS = yaml.load(_FILE.read_text(encoding="utf-8"), Loader=_LOADER)["vars"]

execute = False
run_started_at = dt.datetime(2026, 1, 1)


def var(name: str, default: Any = None) -> Any:
    """The project's default of a var."""
    return _VARS.get(name, default)


class adapter:  # noqa: N801 - the name dbt gives it
    """dbt's `adapter`, as far as models use it."""

    @staticmethod
    @pass_context
    def dispatch(context: Context, name: str, package: str) -> Callable[..., Any]:
        """The macro that DuckDB runs."""
        found = context.get(f"duckdb__{name}", context.get(f"default__{name}"))
        if found is None:
            raise LookupError(f"{package} has no macro duckdb__{name} or default__{name}")
        return found


class dbt:  # noqa: N801
    """dbt's own package of macros, as far as models use it."""

    @staticmethod
    def array_construct(items: list[Any], data_type: str) -> str:
        """A list literal."""
        return f"cast([{', '.join(map(str, items))}] as {data_type}[])"
