"""Names of a file's columns, whatever its type."""

from pathlib import Path

from flywheel.errors import FlywheelError
from flywheel.inputs.csv_rows import csv_header
from flywheel.inputs.documents import keys, sampled_documents
from flywheel.inputs.parquet import parquet_columns
from flywheel.inputs.paths import file_type
from flywheel.inputs.text import head_lines


def column_names(path: Path) -> list[str]:
    """Names of a file's columns or, for NDJSON, of the keys in its first documents."""
    kind = file_type(path)
    if kind == "parquet":
        return list(parquet_columns(path))
    if kind == "csv":
        return csv_header(path)
    if kind is None:
        lines = head_lines(path)
        first = next((line for line in lines if line.strip()), b"")
        if first and not first.lstrip().startswith(b"{") and b"\t{" not in first:
            raise FlywheelError(
                f"{path} is of an unknown type; name it .parquet, .csv or .ndjson after what it is."
            )
    documents, n_lines = sampled_documents(path)
    if n_lines and not documents:
        raise FlywheelError(
            f"None of the first {n_lines} lines of {path} is a JSON document; "
            "write one document per line, or name the file after what it is."
        )
    return keys(documents)
