"""Which columns a model reads, in which order, and where they come from at serving time.

Columns named `f_…` are the user's ranking features, `bhv_…` the behavioural features the project
builds from the log. A model takes its own list with it (`features.json`) and a snapshot of the
behavioural features (`behavior.parquet`), so that it can be served without the warehouse.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flywheel.errors import FlywheelError

USER_PREFIX = "f_"
BEHAVIOR_PREFIX = "bhv_"
TRAINING_TABLE = "main_intermediate.int_training_rows"
WINDOWS_TABLE = "main_intermediate.int_windows"
REFIT_TABLE = "main_intermediate.int_refit_rows"
EVALUATION_TABLE = "main_intermediate.int_evaluation_rows"
CANDIDATE_TABLE = "main_intermediate.int_evaluation_candidates"
SNAPSHOT_TABLE = "main_intermediate.int_serving_behavior"
FORMAT_VERSION = 1

# DuckDB's spelling of the macro `normalize_query`: snapshots are keyed by the normalised query.
NORMALIZED_QUERY = r"lower(trim(regexp_replace({column}, '\s+', ' ', 'g')))"


@dataclass(frozen=True)
class FeatureList:
    """The columns of a model, in the order of its matrix."""

    names: tuple[str, ...]

    @classmethod
    def of_columns(cls, columns: Sequence[str]) -> "FeatureList":
        """Pick the feature columns of a table; the order does not depend on the table's."""
        return cls(
            tuple(sorted(c for c in columns if c.startswith(USER_PREFIX)))
            + tuple(sorted(c for c in columns if c.startswith(BEHAVIOR_PREFIX)))
        )

    @property
    def user(self) -> tuple[str, ...]:
        """Those that come from the user's file."""
        return tuple(n for n in self.names if n.startswith(USER_PREFIX))

    @property
    def behavior(self) -> tuple[str, ...]:
        """Those that come from the snapshot."""
        return tuple(n for n in self.names if n.startswith(BEHAVIOR_PREFIX))

    @property
    def given_names(self) -> dict[str, str]:
        """What the user's own files call each of `user`: the warehouse puts `f_` before it."""
        return {name: name.removeprefix(USER_PREFIX) for name in self.user}

    def to_json(self, version: str) -> str:
        """Content of `features.json`; `behavior_features` come from `behavior.parquet`."""
        content = {
            "format_version": FORMAT_VERSION,
            "model_version": version,
            "features": list(self.names),
            "behavior_features": list(self.behavior),
        }
        return json.dumps(content, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "FeatureList":
        """Read `features.json`.

        Raises:
            ValueError, KeyError, TypeError: it is no such file.
        """
        content = json.loads(text)
        if content["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format_version is {content['format_version']}")
        return cls(tuple(content["features"]))


def quoted(name: str) -> str:
    """A column's name as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def table_columns(connection: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    """Columns of a warehouse table in their order; empty where there is no such table."""
    schema, name = table.split(".")
    rows = connection.execute(
        "select column_name from information_schema.columns "
        "where table_schema = ? and table_name = ? order by ordinal_position",
        [schema, name],
    ).fetchall()
    return [row[0] for row in rows]


def select_features(names: Sequence[str]) -> str:
    """The feature columns as doubles, for a select list; starts with a comma where needed."""
    return "".join(f", cast({quoted(n)} as double) as {quoted(n)}" for n in names)


def matrix_of(batch: pa.RecordBatch, names: Sequence[str]) -> np.ndarray:
    """Feature matrix of a batch.

    Args:
        batch: holds the named columns, numeric.
        names: columns in the model's order.

    Returns:
        float64 array, rows x features; a missing value is NaN.
    """
    matrix = np.empty((batch.num_rows, len(names)), dtype=np.float64)
    for index, name in enumerate(names):
        matrix[:, index] = doubles(batch.column(name))
    return matrix


def doubles(column: pa.Array) -> np.ndarray:
    """A numeric Arrow column as float64; a missing value is NaN."""
    if column.type != pa.float64():
        column = pc.cast(column, pa.float64(), safe=False)
    return column.to_numpy(zero_copy_only=False)


def snapshot_moment(connection: duckdb.DuckDBPyConnection) -> datetime | None:
    """End of what `export_snapshot` knows; None where the warehouse has no log."""
    if not table_columns(connection, WINDOWS_TABLE):
        return None
    return connection.execute(f"select max(evaluation_end) from {WINDOWS_TABLE}").fetchall()[0][0]


def export_snapshot(
    connection: duckdb.DuckDBPyConnection, features: FeatureList, path: Path
) -> None:
    """Write the newest behavioural features the log gives, to be served beside the model.

    A row without a query holds what is known of a document under a query it was never shown for.

    Args:
        connection: the warehouse.
        features: only its behavioural columns are written.
        path: Parquet file to make: query (normalised, or null), doc_id, one double per feature;
            ordered, so that the same table gives the same file.

    Raises:
        FlywheelError: the snapshot lacks a feature the model was trained on.
    """
    columns = table_columns(connection, SNAPSHOT_TABLE)
    missing = [name for name in features.behavior if name not in columns]
    if missing:
        raise FlywheelError(
            f"{SNAPSHOT_TABLE} lacks {', '.join(missing)}, which the model was trained on; "
            "run `flywheel build` and train again."
        )
    if columns:
        source = f"from {SNAPSHOT_TABLE} order by query nulls first, doc_id"
    else:
        source = "from (select null as query, null as doc_id) where false"
    target = str(path).replace("'", "''")
    connection.execute(
        "copy (select cast(query as varchar) as query, cast(doc_id as varchar) as doc_id"
        f"{select_features(features.behavior)} {source}) "
        f"to '{target}' (format parquet, compression zstd)"
    )
