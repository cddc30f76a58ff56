"""Parquet files: their columns, and whether they can be read to the end."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flywheel.errors import FlywheelError
from flywheel.inputs.declared import log_formats
from flywheel.inputs.given import path_value, project_vars
from flywheel.inputs.paths import compression_of, file_type, literal, resolve
from flywheel.inputs.sentences import first_line
from flywheel.inputs.text import PARQUET_MAGIC


def parquet_columns(path: Path) -> dict[str, str]:
    """Column name -> DuckDB type of a Parquet file, after a look at both of its ends."""
    if compression_of(path):
        raise FlywheelError(f"{path} is packed twice (Parquet packs itself); unpack it first.")
    with path.open("rb") as raw:
        head = raw.read(4)
        tail = b""
        if path.stat().st_size >= 12:
            raw.seek(-4, io.SEEK_END)
            tail = raw.read(4)
    if head != PARQUET_MAGIC:
        raise FlywheelError(
            f"{path} is not a Parquet file although its name ends in .parquet; "
            "rename it after what it is (.ndjson or .csv), or export it again."
        )
    if tail != PARQUET_MAGIC:
        raise FlywheelError(
            f"{path} is a Parquet file that is cut short; copy it again from where it was written."
        )
    import duckdb  # here, because a text log needs no engine to be looked at

    with duckdb.connect() as connection:
        try:
            rows = connection.execute(
                "describe select * from read_parquet($path)", {"path": literal(path)}
            ).fetchall()
        except duckdb.Error as error:
            raise FlywheelError(
                f"{path} cannot be read as Parquet ({first_line(error)}); export it again."
            ) from error
    return {name: kind for name, kind, *_ in rows}


def unreadable_parquet(variables: Mapping[str, Any], *, project: Path) -> str | None:
    """A sentence on the first Parquet file of the log that cannot be read to its end.

    The check before a build looks at both ends of a file only; this reads all of it, to name the
    file that stopped a model.

    Args:
        variables: dbt vars given on top of those of dbt_project.yml.
        project: folder of dbt_project.yml.
    """
    import duckdb

    values = {**project_vars(project), **variables}
    names = log_formats(project)[values["log_format"]].variables
    given = [path_value(name, values.get(name)) for name in names]
    for path in sorted({file for one in given if one for file in resolve(one, root=project)}):
        if file_type(path) != "parquet":
            continue
        with duckdb.connect() as connection:
            try:
                rows = connection.execute(
                    "select * from read_parquet($path)", {"path": literal(path)}
                )
                while rows.fetchmany(10_000):
                    pass
            except duckdb.Error as error:
                return f"{path} cannot be read as Parquet ({first_line(error)}); export it again."
    return None
