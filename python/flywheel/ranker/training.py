"""Fit the ranker on the training groups the warehouse has built.

The estimator is inverse propensity scoring for LambdaRank: one group per click, the clicked
document labelled 1 and every other one shown beside it 0, the same weight 1/p on all rows of the
group. Clicks on a document that had the same others beside them are merged: the weights add up
and the gradient stays. It is exact only with `lambdarank_norm=false`, gains of 0 and 1
and a truncation level no shorter than the longest group (Joachims et al. 2017, Agarwal et al.
2019; LightGBM `src/objective/rank_objective.hpp`), so these are not for choosing.
"""

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import lightgbm as lgb
import numpy as np
import pyarrow as pa

from flywheel.errors import FlywheelError
from flywheel.ranker.features import (
    REFIT_TABLE,
    TRAINING_TABLE,
    FeatureList,
    doubles,
    export_snapshot,
    matrix_of,
    quoted,
    select_features,
    table_columns,
)
from flywheel.registry import ModelVersion
from flywheel.settings import Settings
from flywheel.warehouse import connect

CUTOFF = 10
LONGEST_GROUP = 10_000  # LightGBM's kMaxPosition
BATCH_ROWS = 100_000
METRIC = "validation_ndcg_at_10"

Progress = Callable[[int, int, str], None]
SMALL_TRAINING_SET = 1_000_000  # rows


class NotTrainable(FlywheelError):  # noqa: N818 - it is an answer more than an error
    """The log does not hold enough to train on; the sentence says what is lacking."""


@dataclass(frozen=True)
class TrainingParameters:
    """The few choices there are.

    Attributes:
        learning_rate: shrinkage of each tree.
        num_leaves: leaves of each tree where nothing can be tried, for want of validation groups.
        grid_leaves: leaves to try; the validation metric chooses, the fewest among equals.
        min_data_in_leaf: rows in a leaf, as LightGBM estimates them from the Hessian.
        lambda_l2: L2 penalty on leaf values; weights have mean 1, so it does not depend on them.
        max_rounds: trees at most.
        early_stopping_rounds: stop when the validation metric has not risen for so many trees.
        min_validation_groups: with fewer there is no early stopping.
        rounds_without_validation: trees in that case.
        num_threads: does not change the model; 0 leaves it to the size of the training set.
    """

    learning_rate: float = 0.08
    num_leaves: int = 15
    grid_leaves: tuple[int, ...] = (4, 7, 15)
    min_data_in_leaf: int = 20
    lambda_l2: float = 1.0
    max_rounds: int = 400
    early_stopping_rounds: int = 50
    min_validation_groups: int = 20
    rounds_without_validation: int = 100
    num_threads: int = 0

    def declared(self) -> dict[str, Any]:
        """Those that the model depends on."""
        return {name: value for name, value in asdict(self).items() if name != "num_threads"}


@dataclass(frozen=True)
class GroupedRows:
    """Ranking data: the rows of one group stand together, exactly one of them is positive.

    Attributes:
        matrix: float64, rows x features.
        labels: int8 per row, 1 for the group's clicked document.
        weights: float64 per row, the same within a group.
        sizes: int64, rows per group; sums to the number of rows.
    """

    matrix: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    sizes: np.ndarray

    @property
    def starts(self) -> np.ndarray:
        """First row of each group."""
        return np.concatenate(([0], np.cumsum(self.sizes)[:-1])).astype(np.int64)


@dataclass(frozen=True)
class Fit:
    """What `fit_booster` found."""

    booster: lgb.Booster
    num_leaves: int
    best_round: int
    validation: float | None
    validation_at_random: float | None

    def as_metrics(self) -> dict[str, Any]:
        """The candidate as the registry keeps it."""
        return {"num_leaves": self.num_leaves, "rounds": self.best_round, METRIC: self.validation}


@dataclass(frozen=True)
class TrainedModel:
    """A model in memory, ready for `registry.register`.

    Attributes:
        version: 'v', the window's last day, and a digest of everything that went into the model.
        text: content of `model.txt`.
        features: the columns it reads.
        window_start: naive UTC, start of the training window.
        window_end: naive UTC, first moment after it.
        fingerprint: of the training set, from `fct_training_manifest`.
        seed: of LightGBM.
        best_round: trees kept.
        metrics: numbers about the fit.
        parameters: what to train the same model with again.
    """

    version: str
    text: str
    features: FeatureList
    window_start: datetime
    window_end: datetime
    fingerprint: str
    seed: int
    best_round: int
    metrics: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Columns in the model's order."""
        return self.features.names

    def write_files(self, connection: duckdb.DuckDBPyConnection, folder: Path) -> Mapping[str, str]:
        """Write model, feature list and behavioural snapshot.

        Raises:
            FlywheelError: the warehouse holds another training set by now.
        """
        if _read_manifest(connection).fingerprint != self.fingerprint:
            raise FlywheelError(
                f"The training set was built again after {self.version} was trained on it; "
                "train again."
            )
        (folder / "model.txt").write_bytes(self.text.encode())
        (folder / "features.json").write_bytes(self.features.to_json(self.version).encode())
        export_snapshot(connection, self.features, folder / "behavior.parquet")
        return {"model": "model.txt", "features": "features.json", "behavior": "behavior.parquet"}


def train(
    settings: Settings,
    *,
    seed: int = 0,
    parameters: TrainingParameters | None = None,
    on_progress: Progress | None = None,
) -> TrainedModel:
    """Train on the warehouse's current training set.

    The same rows, parameters and seed give the same version name and the same model, byte for
    byte, however many threads there are.

    Args:
        settings: names the warehouse.
        seed: of LightGBM.
        parameters: default: `TrainingParameters()`.
        on_progress: called after every tree with trees done, trees at most, and the validation
            metric in words (empty without validation).

    Raises:
        NotTrainable: the log does not hold enough; nothing is wrong with the set-up.
        FlywheelError: the training set is missing or breaks its contract.
    """
    parameters = parameters or TrainingParameters()
    with connect(settings) as connection:
        manifest = _read_manifest(connection)
        if not manifest.is_trainable:
            raise NotTrainable(manifest.reason or "The training set is marked as not trainable.")
        columns = table_columns(connection, TRAINING_TABLE)
        if not columns:
            raise FlywheelError(
                f"The warehouse has no table {TRAINING_TABLE}; run `flywheel build` first."
            )
        if not _count(connection, "fit"):
            raise NotTrainable("The training set holds no group to fit on.")
        features = known_features(connection, columns)
        if not features.names:
            raise NotTrainable(
                f"{TRAINING_TABLE} has no feature (f_… or bhv_…) with a number in it, so there is "
                "nothing to tell documents apart by; name a features file with "
                "`--var ranking_features=PATH`."
            )
        fit_rows, fit_groups = read_groups(connection, "fit", features)
        validation_rows, validation_groups = read_groups(connection, "validation", features)
        is_new = _groups_of_new_queries(connection)
    shared = sorted(fit_groups & validation_groups)
    if shared:
        raise FlywheelError(
            f"{TRAINING_TABLE} has group {shared[0]} in both splits, so the validation would be "
            "on rows the model has seen; build again."
        )
    digest = _digest(features, parameters, seed, manifest.fingerprint, fit_rows, validation_rows)
    candidates = fit_grid(fit_rows, validation_rows, features, parameters, seed, on_progress)
    fit = best_of(candidates)
    importance = _gain_importance(fit, features)
    if not any(importance.values()):
        raise NotTrainable(
            "No feature tells clicked documents from the others in the training set; "
            "give more ranking features or a longer log."
        )
    return TrainedModel(
        version=f"v{manifest.window_end:%Y%m%d}-{digest[:6]}",
        text=portable_text(fit.booster, fit.best_round),
        features=features,
        window_start=manifest.window_start,
        window_end=manifest.window_end,
        fingerprint=manifest.fingerprint,
        seed=seed,
        best_round=fit.best_round,
        metrics={
            **fit.as_metrics(),
            f"{METRIC}_at_random": fit.validation_at_random,
            f"{METRIC}_of_new_queries": _metric_of_groups(fit, validation_rows, is_new),
            "n_validation_groups_of_new_queries": int(is_new.sum()),
            "grid": [candidate.as_metrics() for candidate in candidates],
            "n_fit_rows": len(fit_rows.labels),
            "n_fit_groups": len(fit_rows.sizes),
            "n_validation_groups": len(validation_rows.sizes),
            "gain_importance": importance,
        },
        parameters={
            **parameters.declared(),
            "seed": seed,
            "lightgbm": lgb.__version__,
            "content_sha256": digest,
        },
    )


def refit(
    settings: Settings, judged: ModelVersion, *, on_progress: Progress | None = None
) -> TrainedModel:
    """Fit a judged model's recipe again on everything up to the end of the log.

    The gate needs searches the model has not learnt from, users do not. Leaves, features and seed
    are those of the judged model; nothing is left to stop it early, so the number of trees grows
    with the number of groups, which is about how many more of them the rows bear.

    Args:
        settings: names the warehouse.
        judged: a registered model that was trained on the warehouse's current training set.
        on_progress: called after every tree, as by `train`.

    Returns:
        A model of its own; `parameters["refit_of"]` names the judged one.

    Raises:
        FlywheelError: the training set was built again since, or breaks its contract.
    """
    with connect(settings) as connection:
        manifest = _read_manifest(connection)
        if manifest.fingerprint != judged.fingerprint:
            raise FlywheelError(
                f"The training set was built again after {judged.version} was trained on it; "
                "train again."
            )
        features = FeatureList(judged.features)
        # The table is a view, and is read more than once.
        connection.execute(f"create temporary table refit_rows as select * from {REFIT_TABLE}")
        rows, _ = read_groups(connection, "refit", features, "refit_rows")
        (window_end,) = connection.execute(
            "select evaluation_end from main_intermediate.int_windows"
        ).fetchall()[0]
    more = max(1.0, len(rows.sizes) / judged.metrics["n_fit_groups"])
    parameters = TrainingParameters(
        **{
            **{name: judged.params[name] for name in TrainingParameters().declared()},
            "grid_leaves": (),
            "num_leaves": judged.metrics["num_leaves"],
            "rounds_without_validation": round(judged.metrics["rounds"] * more),
        }
    )
    seed = judged.params["seed"]
    digest = _digest(features, parameters, seed, manifest.fingerprint, rows)
    fit = fit_booster(rows, None, features, parameters, seed, on_progress)
    return TrainedModel(
        version=f"v{window_end:%Y%m%d}-{digest[:6]}",
        text=portable_text(fit.booster, fit.best_round),
        features=features,
        window_start=manifest.window_start,
        window_end=window_end,
        fingerprint=manifest.fingerprint,
        seed=seed,
        best_round=fit.best_round,
        metrics={
            "num_leaves": fit.num_leaves,
            "rounds": fit.best_round,
            "n_fit_rows": len(rows.labels),
            "n_fit_groups": len(rows.sizes),
            "gain_importance": _gain_importance(fit, features),
        },
        parameters={
            **parameters.declared(),
            "seed": seed,
            "lightgbm": lgb.__version__,
            "content_sha256": digest,
            "refit_of": judged.version,
        },
    )


def fit_grid(
    fit_rows: GroupedRows,
    validation_rows: GroupedRows,
    features: FeatureList,
    parameters: TrainingParameters,
    seed: int,
    on_progress: Progress | None = None,
) -> list[Fit]:
    """Fit every candidate of the grid; a single one where there is nothing to compare them on.

    Each row of data stands in the training set once per clicked document, so how much a tree may
    resolve depends on the log: it is tried, on clicks of later days than those it is fitted on.

    Raises:
        FlywheelError: LightGBM refuses the data.
    """
    leaves: Sequence[int] = parameters.grid_leaves
    if len(validation_rows.sizes) < parameters.min_validation_groups:
        leaves = (parameters.num_leaves,)
    rounds = parameters.max_rounds

    def of_all(number: int) -> Progress | None:
        if on_progress is None:
            return None
        return lambda done, most, label: on_progress(
            number * rounds + done, most + (len(leaves) - 1) * rounds, label
        )

    return [
        fit_booster(
            fit_rows,
            validation_rows,
            features,
            replace(parameters, num_leaves=number_of_leaves),
            seed,
            of_all(number),
        )
        for number, number_of_leaves in enumerate(leaves)
    ]


def best_of(candidates: Sequence[Fit]) -> Fit:
    """The candidate with the highest validation metric; among equals the smallest."""
    return max(candidates, key=lambda fit: (fit.validation or 0.0, -fit.num_leaves))


def fit_booster(
    fit_rows: GroupedRows,
    validation_rows: GroupedRows | None,
    features: FeatureList,
    parameters: TrainingParameters,
    seed: int,
    on_progress: Progress | None = None,
) -> Fit:
    """Fit LambdaRank; stop early where there are enough validation groups.

    Raises:
        FlywheelError: LightGBM refuses the data.
    """
    validates = (
        validation_rows is not None
        and len(validation_rows.sizes) >= parameters.min_validation_groups
    )
    rounds = parameters.max_rounds if validates else parameters.rounds_without_validation
    longest = int(fit_rows.sizes.max())
    options = lightgbm_options(parameters, longest, seed)
    options["num_threads"] = parameters.num_threads or threads_for(len(fit_rows.labels))
    names = _model_names(features)
    training_set = _dataset(fit_rows, names, options)
    callbacks: list[Callable[..., None]] = []
    history: list[float] = []
    arguments: dict[str, Any] = {}
    if validates:
        arguments = {
            "valid_sets": [_dataset(validation_rows, names, options, training_set)],
            "valid_names": ["validation"],
            "feval": lambda scores, _: (METRIC, neutral_ndcg(scores, validation_rows), True),
        }
        callbacks.append(lgb.early_stopping(parameters.early_stopping_rounds, verbose=False))
    callbacks.insert(0, _reporter(history, rounds, on_progress))
    try:
        booster = lgb.train(options, training_set, rounds, callbacks=callbacks, **arguments)
    except lgb.basic.LightGBMError as error:
        raise FlywheelError(f"LightGBM refuses the training set: {error}.") from error
    best = booster.best_iteration if validates else rounds
    if not validates:
        return Fit(booster, parameters.num_leaves, best, None, None)
    return Fit(
        booster,
        parameters.num_leaves,
        best,
        max(history),
        neutral_ndcg(np.zeros(len(validation_rows.labels)), validation_rows),
    )


def threads_for(n_rows: int) -> int:
    """Threads worth having: on few rows they wait for each other longer than they work."""
    return 1 if n_rows < SMALL_TRAINING_SET else os.cpu_count() or 1


def lightgbm_options(
    parameters: TrainingParameters, longest_group: int, seed: int
) -> dict[str, Any]:
    """Options of LightGBM, the fixed ones included."""
    return {
        "objective": "lambdarank",
        "metric": "None",
        "label_gain": [0, 1],
        "lambdarank_norm": False,
        "lambdarank_truncation_level": max(longest_group, CUTOFF),
        "learning_rate": parameters.learning_rate,
        "num_leaves": parameters.num_leaves,
        "min_data_in_leaf": parameters.min_data_in_leaf,
        "lambda_l2": parameters.lambda_l2,
        "num_threads": parameters.num_threads,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }


def neutral_ndcg(scores: np.ndarray, rows: GroupedRows, cutoff: int = CUTOFF) -> float:
    """NDCG@10 of groups with one positive, weighted by group: sum(w / log2(1 + rank)) / sum(w).

    With one positive the ideal is 1, so this is also the DCG. A positive that shares its score
    with others counts with its expected value over the orders of the tied rows: the order they
    are stored in must not decide. (LightGBM's own metric takes the stored order, and is wrong
    on weighted groups without positives.)

    Args:
        scores: one per row.
        rows: the groups.
        cutoff: ranks beyond it count 0.

    Returns:
        Between 0 and 1.
    """
    return float(np.average(neutral_gains(scores, rows, cutoff), weights=rows.weights[rows.starts]))


def neutral_gains(scores: np.ndarray, rows: GroupedRows, cutoff: int = CUTOFF) -> np.ndarray:
    """What each group adds to `neutral_ndcg`, before its weight."""
    starts = rows.starts
    positive = np.flatnonzero(rows.labels == 1)
    own = np.repeat(scores[positive], rows.sizes)
    above = np.add.reduceat((scores > own).astype(np.int64), starts)
    tied = np.add.reduceat((scores == own).astype(np.int64), starts)
    ranks = np.arange(1, cutoff + 1)
    reached = np.concatenate(([0.0], np.cumsum(1.0 / np.log2(1.0 + ranks))))
    gain = reached[np.minimum(above + tied, cutoff)] - reached[np.minimum(above, cutoff)]
    return gain / tied


def portable_text(booster: lgb.Booster, rounds: int) -> str:
    """The model's text without what does not decide a score (options, number of threads)."""
    text = booster.model_to_string(num_iteration=rounds)
    head, separator, _ = text.partition("\nparameters:\n")
    if not separator:
        raise FlywheelError(
            "LightGBM's model text has an unknown form; install the locked version."
        )
    return head


def known_features(connection: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> FeatureList:
    """Features of the training rows that have a value in any of them.

    A column of text, say, has none; a model that listed it would ask for it when it scores.
    """
    listed = FeatureList.of_columns(columns).names
    if not listed:
        return FeatureList(())
    counts = connection.execute(
        f"select {', '.join(f'count({quoted(name)})' for name in listed)} from {TRAINING_TABLE}"
    ).fetchall()[0]
    return FeatureList(tuple(name for name, n in zip(listed, counts, strict=True) if n))


def read_groups(
    connection: duckdb.DuckDBPyConnection,
    split: str,
    features: FeatureList,
    table: str = TRAINING_TABLE,
) -> tuple[GroupedRows, set[str]]:
    """Read one split of the training rows and check the contract.

    Args:
        connection: the warehouse.
        split: 'fit' or 'validation'; 'refit' in the table of the refit.
        features: columns of the matrix.
        table: where the rows are.

    Returns:
        The rows in `row_order`, and the groups' names.

    Raises:
        FlywheelError: a group's rows do not stand together, a group has not exactly one
            positive, or a weight is missing, not above 0, or differs within a group.
    """
    count = _count(connection, split, table)
    matrix = np.empty((count, len(features.names)), dtype=np.float64)
    labels = np.empty(count, dtype=np.int8)
    weights = np.empty(count, dtype=np.float64)
    names: list[str] = []
    starts: list[int] = []
    at = 0
    reader = connection.sql(
        "select cast(group_id as varchar) as group_id, "
        "cast(is_positive as tinyint) as is_positive, "
        f"cast(weight as double) as weight{select_features(features.names)} "
        f"from {table} where split = '{split}' order by row_order"
    ).to_arrow_reader(BATCH_ROWS)
    for batch in reader:
        end = at + batch.num_rows
        matrix[at:end] = matrix_of(batch, features.names)
        labels[at:end] = np.nan_to_num(doubles(batch.column("is_positive")), nan=-1)
        weights[at:end] = doubles(batch.column("weight"))
        for offset, name in _group_starts(batch.column("group_id"), names[-1] if names else None):
            starts.append(at + offset)
            names.append(name)
        at = end
    groups = set(names)
    if len(groups) != len(names) or None in groups:
        seen: set[str] = set()
        twice = next(n for n in names if n is None or n in seen or seen.add(n))
        raise FlywheelError(
            f"The rows of group {twice} of {table} do not stand together in row_order, "
            "so LightGBM would take them for several groups; build again."
        )
    sizes = np.diff(np.array([*starts, count], dtype=np.int64))
    rows = GroupedRows(matrix, labels, weights, sizes)
    if count:
        _check_groups(rows, names, table)
    return rows, groups


def _gain_importance(fit: Fit, features: FeatureList) -> dict[str, float]:
    """What each feature took off the loss, the largest first."""
    gains = fit.booster.feature_importance("gain", iteration=fit.best_round)
    order = np.argsort(-gains, kind="stable")
    return {features.names[i]: round(float(gains[i]), 6) for i in order}


def _groups_of_new_queries(connection: duckdb.DuckDBPyConnection) -> np.ndarray:
    """For each validation group in order, whether no group of the fit has its query."""
    found = connection.execute(
        f"""
        with fitted as (
            select distinct query from {TRAINING_TABLE} where split = 'fit'
        )

        select bool_and(fitted.query is null)
        from {TRAINING_TABLE} as validated
        left join fitted
            on validated.query = fitted.query
        where validated.split = 'validation'
        group by validated.group_id
        order by min(validated.row_order)
        """
    ).fetchall()
    return np.array([row[0] for row in found], dtype=bool)


def _metric_of_groups(fit: Fit, rows: GroupedRows, chosen: np.ndarray) -> float | None:
    """The metric over some of the groups; None where there are none."""
    if not chosen.any():
        return None
    of_row = np.repeat(chosen, rows.sizes)
    some = GroupedRows(
        rows.matrix[of_row], rows.labels[of_row], rows.weights[of_row], rows.sizes[chosen]
    )
    return neutral_ndcg(fit.booster.predict(some.matrix, num_iteration=fit.best_round), some)


def _count(connection: duckdb.DuckDBPyConnection, split: str, table: str = TRAINING_TABLE) -> int:
    return connection.execute(f"select count(*) from {table} where split = ?", [split]).fetchall()[
        0
    ][0]


def _check_groups(rows: GroupedRows, names: list[str], table: str) -> None:
    starts = rows.starts
    if rows.sizes.sum() != len(rows.labels) or starts[-1] + rows.sizes[-1] != len(rows.labels):
        raise FlywheelError(f"The groups of {table} do not add up to its rows.")
    positives = np.add.reduceat(rows.labels == 1, starts, dtype=np.int64)
    labelled = np.add.reduceat((rows.labels == 0) | (rows.labels == 1), starts, dtype=np.int64)
    first = np.repeat(rows.weights[starts], rows.sizes)
    weighted = np.add.reduceat(
        (rows.weights == first) & (first > 0) & np.isfinite(first), starts, dtype=np.int64
    )
    problems = (
        (positives != 1, "has not exactly one positive row"),
        (labelled != rows.sizes, "has a row whose is_positive is neither 0 nor 1"),
        (weighted != rows.sizes, "has a weight that is not above 0 or differs between its rows"),
        (rows.sizes > LONGEST_GROUP, f"has more than {LONGEST_GROUP} rows"),
    )
    for broken, what in problems:
        if broken.any():
            name = names[int(np.flatnonzero(broken)[0])]
            raise FlywheelError(
                f"Group {name} of {table} {what}; it is no training group. Build again."
            )


def _group_starts(column: pa.Array, previous: str | None) -> list[tuple[int, str]]:
    codes = column.dictionary_encode()
    indices = codes.indices.to_numpy(zero_copy_only=False)
    changes = np.flatnonzero(np.diff(indices, prepend=indices[:1] - 1) != 0)
    named = [(int(i), column[int(i)].as_py()) for i in changes]
    return named[1:] if named and named[0][1] == previous else named


@dataclass(frozen=True)
class _Manifest:
    window_start: datetime
    window_end: datetime
    fingerprint: str
    is_trainable: bool
    reason: str | None


def _read_manifest(connection: duckdb.DuckDBPyConnection) -> _Manifest:
    missing = FlywheelError("The warehouse holds no training set; run `flywheel build` first.")
    try:
        found = connection.execute(
            "select window_start, window_end, fingerprint, is_trainable, not_trainable_reason "
            "from main.fct_training_manifest order by window_end desc, manifest_id limit 1"
        ).fetchall()
    except duckdb.CatalogException as error:
        raise missing from error
    if not found:
        raise missing
    return _Manifest(*found[0])


def _dataset(
    rows: GroupedRows,
    names: list[str],
    options: dict[str, Any],
    reference: lgb.Dataset | None = None,
) -> lgb.Dataset:
    return lgb.Dataset(
        rows.matrix,
        label=rows.labels,
        weight=rows.weights,
        group=rows.sizes,
        feature_name=names,
        params=options,
        reference=reference,
    )


def _reporter(
    history: list[float], rounds: int, on_progress: Progress | None
) -> Callable[[lgb.callback.CallbackEnv], None]:
    def report(environment: lgb.callback.CallbackEnv) -> None:
        value = None
        if environment.evaluation_result_list:
            value = float(environment.evaluation_result_list[0][2])
            history.append(value)
        if on_progress is not None:
            label = "" if value is None else f"validation nDCG@10 {value:.4f}"
            on_progress(environment.iteration + 1, rounds, label)

    return report


def _model_names(features: FeatureList) -> list[str]:
    """Names LightGBM takes: it refuses some characters; `features.json` keeps the true ones."""
    safe = [re.sub(r"[^A-Za-z0-9_.]", "_", name) for name in features.names]
    return [name if safe.count(name) == 1 else f"{name}_{i}" for i, name in enumerate(safe)]


def _digest(
    features: FeatureList,
    parameters: TrainingParameters,
    seed: int,
    fingerprint: str,
    *splits: GroupedRows,
) -> str:
    """Digest of everything that decides the model's bytes."""
    digest = hashlib.sha256()
    choices = (features.names, sorted(parameters.declared().items()), seed, lgb.__version__)
    digest.update(repr((fingerprint, *choices)).encode())
    for rows in splits:
        for array in (rows.matrix, rows.labels, rows.weights, rows.sizes):
            digest.update(repr((array.shape, array.dtype.str)).encode())
            digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()
