"""Score documents with a registered model: evaluated searches, or a file."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flywheel import registry
from flywheel.deployment import LOGGED_ORDER
from flywheel.errors import FlywheelError
from flywheel.files import atomic_path
from flywheel.ranker.features import (
    CANDIDATE_TABLE,
    EVALUATION_TABLE,
    NORMALIZED_QUERY,
    USER_PREFIX,
    FeatureList,
    matrix_of,
    quoted,
    select_features,
    table_columns,
)
from flywheel.registry import ModelVersion
from flywheel.settings import Settings
from flywheel.warehouse import connect

BATCH_ROWS = 100_000
OUTPUT_SCHEMA = pa.schema(
    [
        pa.field("query", pa.string()),
        pa.field("doc_id", pa.string()),
        pa.field("score", pa.float64()),
        pa.field("model_version", pa.string()),
    ]
)

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class LoadedModel:
    """A model whose files were compared with the registry.

    Attributes:
        version: its name.
        booster: LightGBM's model.
        features: columns of its matrix.
        behavior: the snapshot of behavioural features.
    """

    version: str
    booster: lgb.Booster
    features: FeatureList
    behavior: Path

    def scores(self, batch: pa.RecordBatch, num_threads: int = 1) -> np.ndarray:
        """Score a batch that holds the model's columns; a larger score ranks higher."""
        if not batch.num_rows:
            return np.empty(0)
        matrix = matrix_of(batch, self.features.names)
        return self.booster.predict(matrix, num_threads=num_threads)


def load_model(settings: Settings, model: ModelVersion) -> LoadedModel:
    """Load a model after its files were verified by sha256.

    Raises:
        FlywheelError: a file is missing, differs from the registry, or cannot be read.
    """
    registry.verify_files(settings, model)
    paths = {role: settings.home / file.path for role, file in model.files.items()}
    try:
        features = FeatureList.from_json(paths["features"].read_text())
        booster = lgb.Booster(model_str=paths["model"].read_text())
        width = booster.num_feature()
    except (lgb.basic.LightGBMError, ValueError, KeyError, TypeError) as error:
        raise FlywheelError(
            f"The files of model {model.version} were written by another version of this "
            f"project or of LightGBM ({error}); train again."
        ) from error
    if width != len(features.names):
        raise FlywheelError(
            f"The model {model.version} reads {width} features but its feature list names "
            f"{len(features.names)}; train again."
        )
    return LoadedModel(model.version, booster, features, paths["behavior"])


def score_evaluation_rows(
    settings: Settings,
    version: str,
    *,
    num_threads: int = 1,
    on_progress: Progress | None = None,
) -> int:
    """Score what is to be evaluated: the documents shown, and all that could have been.

    Writes `flywheel_state.ranker_scores` (by search) and `flywheel_state.candidate_scores` (by
    query). In one transaction: the model's older scores of the same searches go, and all of its
    candidates', the new ones come.

    Every model reads the behavioural features as of the end of the training window, whatever
    snapshot it is served with: two models are compared, not two days, and a snapshot of the present
    knows the clicks it would be judged by. A champion may have been fitted on some of the window,
    which speaks for the champion and never for the challenger.

    Args:
        settings: names the warehouse.
        version: a registered model; 'logged' needs no scores, so nothing happens.
        num_threads: does not change the scores.
        on_progress: called after every batch with rows done, rows in all, and a
            word for them.

    Returns:
        Documents in searches, and candidates of queries: rows written.

    Raises:
        FlywheelError: there are no such rows, or they lack a feature the model needs.
    """
    if version == LOGGED_ORDER:
        return 0
    with connect(settings, read_only=False) as connection:
        model = load_model(settings, registry.read_state(connection).version(version))
        totals = [_countable(connection, model, task.table) for task in _TASKS]
        done = 0
        connection.begin()
        try:
            for task in _TASKS:
                connection.execute(
                    f"delete from {task.target} where model_version = ? and {task.replaces}",
                    [version],
                )
                # A second cursor reads while the first one writes.
                reader = (
                    connection.cursor()
                    .sql(
                        f"select {task.key}, doc_id{select_features(model.features.names)} "
                        f"from {task.table}"
                    )
                    .to_arrow_reader(BATCH_ROWS)
                )
                for batch in reader:
                    scored = pa.table(
                        {
                            task.key: batch.column(task.key),
                            "doc_id": batch.column("doc_id"),
                            "score": model.scores(batch, num_threads),
                        }
                    )
                    connection.register("scored", scored)
                    connection.execute(
                        f"insert into {task.target} (model_version, {task.key}, doc_id, score) "
                        f"select ?, {task.key}, doc_id, score from scored",
                        [version],
                    )
                    connection.unregister("scored")
                    done += batch.num_rows
                    if on_progress is not None:
                        on_progress(done, sum(totals), "rows")
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
        return done


@dataclass(frozen=True)
class _Task:
    """Rows to score, and where the scores go."""

    table: str
    key: str
    target: str
    replaces: str


_TASKS = (
    _Task(
        EVALUATION_TABLE,
        "search_id",
        "flywheel_state.ranker_scores",
        f"search_id in (select search_id from {EVALUATION_TABLE})",
    ),
    _Task(CANDIDATE_TABLE, "query", "flywheel_state.candidate_scores", "true"),
)


def _countable(connection: duckdb.DuckDBPyConnection, model: LoadedModel, table: str) -> int:
    """Rows of a table that has every feature of the model."""
    columns = table_columns(connection, table)
    if not columns:
        raise FlywheelError(f"The warehouse has no table {table}; run `flywheel build` first.")
    missing = [name for name in model.features.names if name not in columns]
    if missing:
        raise FlywheelError(
            f"{table} lacks {', '.join(missing)}, which model {model.version} was trained on; "
            "give the features file it was trained with, or train again."
        )
    return connection.execute(f"select count(*) from {table}").fetchall()[0][0]


def score_file(
    settings: Settings,
    features_in: Path,
    out: Path,
    model: str = "champion",
    *,
    num_threads: int = 1,
    on_progress: Progress | None = None,
) -> int:
    """Score the documents of a Parquet file.

    The file holds query, doc_id and the user's features under their own names (or with the
    prefix `f_`). Behavioural features come from the model's snapshot; a document it does not
    know has them missing, which the model was trained to take.

    Args:
        settings: names the warehouse and the home folder.
        features_in: Parquet file to score.
        out: Parquet file to make: query, doc_id, score, model_version, in the order of the input.
            It appears whole or not at all.
        model: a version, 'champion' or 'challenger'.
        num_threads: does not change the scores.
        on_progress: called after every batch with rows done, rows in all, and a
            word for them.

    Returns:
        Rows written.

    Raises:
        FlywheelError: the file is missing, is no Parquet, or lacks a column; there is no such
            model, or its files are damaged.
    """
    source = _open_parquet(features_in)
    if out.exists() and (out.is_dir() or out.samefile(features_in)):
        raise FlywheelError(f"The output {out} is the input or a folder; name another file.")
    with connect(settings) as connection:
        chosen = registry.resolve(registry.read_state(connection), model)
    loaded = load_model(settings, chosen)
    columns = _source_columns(source.schema_arrow, loaded, features_in)
    total = source.metadata.num_rows
    done = 0
    with (
        duckdb.connect(":memory:") as memory,
        atomic_path(out) as temporary,
        pq.ParquetWriter(temporary, OUTPUT_SCHEMA, compression="zstd") as writer,
    ):
        _load_snapshot(memory, loaded)
        for batch in _batches(source, columns, features_in):
            _refuse_nulls(batch, features_in, done)
            joined = _with_behavior(memory, batch, loaded.features)
            scores = loaded.scores(joined, num_threads)
            writer.write_table(
                pa.table(
                    [
                        batch.column("query"),
                        batch.column("doc_id"),
                        pa.array(scores, pa.float64()),
                        pa.repeat(pa.scalar(loaded.version), batch.num_rows),
                    ],
                    schema=OUTPUT_SCHEMA,
                )
            )
            done += batch.num_rows
            if on_progress is not None:
                on_progress(done, total, "rows")
    return done


def _open_parquet(path: Path) -> pq.ParquetFile:
    if not path.is_file():
        raise FlywheelError(f"There is no file {path}; name a Parquet file with features.")
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise FlywheelError(
            f"{path} is no readable Parquet file ({_first_line(error)}); write it as Parquet, "
            "with the columns query, doc_id and the features."
        ) from error


def _source_columns(schema: pa.Schema, model: LoadedModel, path: Path) -> dict[str, str]:
    """Map each column the model needs to the file's name for it."""
    present = schema.names
    keys = [name for name in ("query", "doc_id") if name not in present]
    if keys:
        raise FlywheelError(
            f"{path} has no column {' and no column '.join(keys)}; each row to score needs its "
            "query and its doc_id."
        )
    given = model.features.given_names
    if not set(given.values()) <= set(present) and set(given) <= set(present):
        given = {name: name for name in given}  # a table of the warehouse
    columns = {"query": "query", "doc_id": "doc_id"}
    missing = []
    for name, own in given.items():
        if own in present or name in present:
            columns[name] = own if own in present else name
        else:
            missing.append(name.removeprefix(USER_PREFIX))
    if missing:
        raise FlywheelError(
            f"{path} lacks the feature column{'s' if len(missing) > 1 else ''} "
            f"{', '.join(missing)}, which model {model.version} was trained on; add "
            f"{'them' if len(missing) > 1 else 'it'} (null where unknown)."
        )
    for name, own in columns.items():
        kind = schema.field(own).type
        if name not in ("query", "doc_id") and not _is_number(kind):
            raise FlywheelError(
                f"Column {own} of {path} is {kind}, not a number; the model needs a number."
            )
    return columns


def _is_number(kind: pa.DataType) -> bool:
    return (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_null(kind)
    )


def _batches(
    source: pq.ParquetFile, columns: dict[str, str], path: Path
) -> Iterator[pa.RecordBatch]:
    wanted = list(dict.fromkeys(columns.values()))
    try:
        for batch in source.iter_batches(BATCH_ROWS, columns=wanted):
            arrays = []
            for name, own in columns.items():
                kind = pa.string() if name in ("query", "doc_id") else pa.float64()
                column = batch.column(own)
                if pa.types.is_boolean(column.type):
                    column = column.cast(pa.int8())
                arrays.append(column.cast(kind, safe=False))
            yield pa.RecordBatch.from_arrays(arrays, names=list(columns))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise FlywheelError(
            f"{path} cannot be read to its end ({_first_line(error)}); write it again."
        ) from error


def _refuse_nulls(batch: pa.RecordBatch, path: Path, done: int) -> None:
    for name in ("query", "doc_id"):
        column = batch.column(name)
        if column.null_count:
            row = done + int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
            raise FlywheelError(
                f"Row {row + 1} of {path} has no {name}; a score belongs to a query and a "
                "document, so fill it in or leave the row out."
            )


def _load_snapshot(memory: duckdb.DuckDBPyConnection, model: LoadedModel) -> None:
    path = str(model.behavior).replace("'", "''")
    memory.execute(
        f"create table behavior as select query, doc_id"
        f"{select_features(model.features.behavior)} from read_parquet('{path}')"
    )


def _with_behavior(
    memory: duckdb.DuckDBPyConnection, batch: pa.RecordBatch, features: FeatureList
) -> pa.RecordBatch:
    """Add the snapshot's columns to a batch, in the batch's order.

    A document under a query it was never shown for has what is known of the document alone.
    """
    if not features.behavior:
        return batch
    keys = pa.table(
        {
            "row_number": np.arange(batch.num_rows),
            "query": batch.column("query"),
            "doc_id": batch.column("doc_id"),
        }
    )
    memory.register("keys", keys)
    found = memory.sql(
        f"select {_known_behavior(features)} from keys as k "
        f"left join behavior as p on p.query = {NORMALIZED_QUERY.format(column='k.query')} "
        "and p.doc_id = k.doc_id "
        "left join behavior as d on d.query is null and d.doc_id = k.doc_id "
        "order by k.row_number"
    ).to_arrow_table()
    memory.unregister("keys")
    return _combined(batch, found, features.behavior)


def _known_behavior(features: FeatureList) -> str:
    """Columns of the pair's row `p` or, for a pair never shown, of the document's row `d`."""
    return ", ".join(
        f"cast(case when p.doc_id is not null then p.{quoted(name)} else d.{quoted(name)} end "
        f"as double) as {quoted(name)}"
        for name in features.behavior
    )


def _combined(batch: pa.RecordBatch, found: pa.Table, names: Sequence[str]) -> pa.RecordBatch:
    if found.num_rows != batch.num_rows:
        raise FlywheelError(
            "The model's behaviour snapshot names a query and document twice; train again."
        )
    for name in names:
        batch = batch.append_column(name, found.column(name).combine_chunks())
    return batch


def _first_line(error: Exception) -> str:
    text = str(error)
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__
