"""Is a file what its format wants: a UBI log, a flat one, ranking features?"""

from pathlib import Path
from typing import Any, Literal

from flywheel.errors import FlywheelError
from flywheel.inputs.columns import column_names
from flywheel.inputs.csv_rows import check_csv_rows
from flywheel.inputs.documents import keys, sampled_documents
from flywheel.inputs.parquet import parquet_columns
from flywheel.inputs.paths import file_type
from flywheel.inputs.sentences import listed
from flywheel.inputs.text import check_line_ends

LogFormat = Literal["ubi", "flat"]
REQUIRED_FLAT_COLUMNS = ("search_id", "searched_at", "query", "doc_id", "rank", "clicked")
"""Columns without which a flat log says nothing about what was shown and clicked."""
UBI_MARKS = ("query_id", "user_query", "action_name")
"""A document with one of these is taken for a UBI query or event."""
_NUMERIC_TYPES = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE")


def check_ubi_file(path: Path) -> int:
    """Documents looked at in a file that is to be UBI; 0 where it holds none.

    Raises:
        FlywheelError: says what it is instead.
    """
    kind = file_type(path)
    if kind == "csv":
        raise FlywheelError(
            f"{path} is CSV, and UBI is read from NDJSON or Parquet; "
            "if it is a flat log, set --var log_format=flat --var flat_log=PATH."
        )
    if kind == "parquet":
        columns = parquet_columns(path)
        if not _looks_like_ubi(columns):
            raise FlywheelError(_not_ubi(path, list(columns)))
        return 1
    documents, n_lines = sampled_documents(path)
    if not n_lines:
        return 0
    check_line_ends(path)
    if not documents:
        raise FlywheelError(
            f"None of the first {n_lines} lines of {path} is a JSON document; "
            "a UBI log is NDJSON, one document per line."
        )
    if not any(_looks_like_ubi(document) for document in documents):
        raise FlywheelError(_not_ubi(path, keys(documents)))
    return len(documents)


def check_flat_file(path: Path) -> int:
    """1 for a file that is to be a flat log; 0 where it holds no rows.

    Raises:
        FlywheelError: says what is missing, or what it is instead.
    """
    names = column_names(path)
    if not names:
        return 0
    lowered = {name.lower() for name in names}
    missing = [name for name in REQUIRED_FLAT_COLUMNS if name not in lowered]
    if not missing:
        kind = file_type(path)
        if kind == "csv":
            check_csv_rows(path)
        elif kind != "parquet":
            check_line_ends(path)
        return 1
    if _looks_like_ubi(names) and not {"search_id", "doc_id"} & lowered:
        raise FlywheelError(
            f"{path} looks like a UBI log, not a flat one (it has {listed(names)}); "
            "set --var log_format=ubi --var raw_queries=PATH --var raw_events=PATH."
        )
    noun = "column" if len(missing) == 1 else "columns"
    raise FlywheelError(
        f"{path} lacks the required {noun} {listed(missing)}; it has {listed(names)}. "
        "Rename or add what is missing with one select."
    )


def check_features_file(path: Path) -> int:
    """Numeric columns of a file that is to hold ranking features.

    Raises:
        FlywheelError: says what is missing.
    """
    if file_type(path) != "parquet":
        raise FlywheelError(
            f"ranking_features names {path}, which is not a .parquet file; write the features as "
            "Parquet with doc_id, numeric columns and, where they depend on it, query."
        )
    columns = parquet_columns(path)
    lowered = {name.lower(): kind for name, kind in columns.items()}
    if "doc_id" not in lowered:
        raise FlywheelError(
            f"The ranking features {path} lack the column doc_id; they have {listed(columns)}."
        )
    numeric = [n for n, kind in lowered.items() if n not in ("doc_id", "query") and _numeric(kind)]
    if not numeric:
        raise FlywheelError(
            f"The ranking features {path} have no numeric column beside doc_id and query; they "
            f"have {listed(columns)}. Add at least one, or set --var ranking_features= (empty)."
        )
    return len(numeric)


def _looks_like_ubi(names: Any) -> bool:
    return any(mark in names for mark in UBI_MARKS)


def _not_ubi(path: Path, names: list[str]) -> str:
    if {"search_id", "doc_id"} <= {name.lower() for name in names}:
        return (
            f"{path} looks like a flat log, not a UBI one (it has {listed(names)}); "
            f"set --var log_format=flat --var flat_log={path}."
        )
    return (
        f"{path} holds no UBI queries or events: none of its first documents has "
        f"{listed(UBI_MARKS, 'or')}; they have {listed(names)}. Name a UBI log, or turn this "
        "one into a flat log with one select and set --var log_format=flat --var flat_log=PATH."
    )


def _numeric(kind: str) -> bool:
    return kind.lstrip("U").startswith((*_NUMERIC_TYPES, "DECIMAL"))
