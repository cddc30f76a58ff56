"""Is a file what its format wants, or do ranking features?"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from flywheel.errors import FlywheelError
from flywheel.inputs.columns import column_names
from flywheel.inputs.csv_rows import check_csv_rows
from flywheel.inputs.declared import KIND_NAMES, LogFormat
from flywheel.inputs.documents import keys, sampled_documents
from flywheel.inputs.parquet import parquet_columns
from flywheel.inputs.paths import file_type
from flywheel.inputs.sentences import listed
from flywheel.inputs.text import check_line_ends

_NUMERIC_TYPES = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE")


def check_log_file(path: Path, declared: LogFormat, others: Sequence[LogFormat]) -> int:
    """What was looked at in a file that is to be a log of this format; 0 where it holds nothing.

    Raises:
        FlywheelError: says what is missing, or what it is instead.
    """
    look = _check_rows if declared.reader == "rows" else _check_documents
    return look(path, declared, others)


def _check_documents(path: Path, declared: LogFormat, others: Sequence[LogFormat]) -> int:
    kind = file_type(path)
    if kind in KIND_NAMES and kind not in declared.kinds:
        hint = "".join(
            f"; if it is {other.noun}, set {other.setting()}"
            for other in others
            if kind in other.kinds
        )
        raise FlywheelError(
            f"{path} is {KIND_NAMES[kind]}, and {declared.name.upper()} is read from "
            f"{declared.kinds_in_words}{hint}."
        )
    if kind == "parquet":
        columns = parquet_columns(path)
        if not _has_mark(columns, declared):
            raise FlywheelError(_no_documents(path, list(columns), declared, others))
        return 1
    documents, n_lines = sampled_documents(path)
    if not n_lines:
        return 0
    check_line_ends(path)
    if not documents:
        raise FlywheelError(
            f"None of the first {n_lines} lines of {path} is a JSON document; "
            f"{declared.noun} is NDJSON, one document per line."
        )
    if not any(_has_mark(document, declared) for document in documents):
        raise FlywheelError(_no_documents(path, keys(documents), declared, others))
    return len(documents)


def _check_rows(path: Path, declared: LogFormat, others: Sequence[LogFormat]) -> int:
    names = column_names(path)
    if not names:
        return 0
    lowered = {name.lower() for name in names}
    missing = [name for name in declared.required if not {name.lower(), _outermost(name)} & lowered]
    if not missing:
        kind = file_type(path)
        if kind == "csv":
            check_csv_rows(path)
        elif kind != "parquet":
            check_line_ends(path)
        return 1
    for other in others:
        if has_marks(names, other) and not _key_columns(declared) & lowered:
            raise FlywheelError(
                f"{path} looks like {other.noun}, not {_one(declared)} (it has {listed(names)}); "
                f"set {other.setting()}."
            )
    noun = "column" if len(missing) == 1 else "columns"
    raise FlywheelError(
        f"{path} lacks the required {noun} {listed(missing)}; it has {listed(names)}. "
        "Rename or add what is missing with one select, or declare the names (docs/extending.md)."
    )


def _outermost(path: str) -> str:
    return path.partition(".")[0].lower()


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


def has_marks(names: Iterable[str], declared: LogFormat) -> bool:
    """Whether columns are those of a format: its search and document, or one of its marks."""
    lowered = {name.lower() for name in names}
    if declared.reader == "rows":
        return _key_columns(declared) <= lowered
    return _has_mark(lowered, declared)


def _key_columns(declared: LogFormat) -> set[str]:
    """Columns that say which document of which search a row shows."""
    return {declared.called(name).lower() for name in ("search_id", "doc_id")}


def _has_mark(names: Iterable[str], declared: LogFormat) -> bool:
    found = set(names)
    return any(mark in found for mark in declared.marks)


def _one(declared: LogFormat) -> str:
    """As in `not a flat one`."""
    return declared.noun.replace(" log", " one")


def _no_documents(
    path: Path, names: list[str], declared: LogFormat, others: Sequence[LogFormat]
) -> str:
    for other in others:
        if other.reader == "rows" and has_marks(names, other):
            return (
                f"{path} looks like {other.noun}, not {_one(declared)} (it has {listed(names)}); "
                f"set {other.setting(str(path))}."
            )
    instead = "".join(f" and set {o.setting()}" for o in others if o.reader == "rows")
    return (
        f"{path} holds no {declared.name.upper()} queries or events: none of its first documents "
        f"has {listed(declared.marks, 'or')}; they have {listed(names)}. Name "
        f"{declared.noun}, or turn this one into a flat log with one select{instead}."
    )


def _numeric(kind: str) -> bool:
    return kind.lstrip("U").startswith((*_NUMERIC_TYPES, "DECIMAL"))
