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
from flywheel.ranker.choice import FOLD_METRIC, Candidate, FoldCurve, best_of, paired_error
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
        grid_leaves: leaves to try; the metric of the folds chooses, the fewest among equals.
        errors_ahead: by so many standard errors full weights must be ahead of clipped ones.
        max_folds: folds in time to try them on.
        enough_held_out_groups: there are no more folds than it takes to hold out so many groups.
        min_data_in_leaf: rows in a leaf, as LightGBM estimates them from the Hessian.
        lambda_l2: L2 penalty on leaf values; weights have mean 1, so it does not depend on them.
        extra_trees: draw a split's thresholds; of many, few clicks make one look best by chance.
        max_rounds: trees at most.
        early_stopping_rounds: stop when the metric of the folds has not risen for so many trees.
        min_validation_groups: with fewer nothing is tried.
        rounds_without_validation: trees in that case.
        num_threads: does not change the model; 0 leaves it to the size of the training set.
    """

    learning_rate: float = 0.08
    num_leaves: int = 15
    grid_leaves: tuple[int, ...] = (4, 7, 15)
    errors_ahead: float = 1.0
    max_folds: int = 5
    enough_held_out_groups: int = 2_000
    min_data_in_leaf: int = 20
    lambda_l2: float = 1.0
    extra_trees: bool = True
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
        weights: float64 per row, the same within a group: what the metric weighs by.
        sizes: int64, rows per group; sums to the number of rows.
        clipped_weights: as weights, of clicks whose weights are clipped more tightly; None where
            there are none to try.
        queries: what was asked, per group; None where no folds are cut.
    """

    matrix: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    sizes: np.ndarray
    clipped_weights: np.ndarray | None = None
    queries: np.ndarray | None = None

    def to_fit(self, is_clipped: bool) -> np.ndarray:
        """Weights that a fit counts rows by."""
        if not is_clipped:
            return self.weights
        if self.clipped_weights is None:
            raise FlywheelError("These groups have no clipped weights.")
        return self.clipped_weights

    @property
    def has_clipped(self) -> bool:
        """Whether the clipped weights are others."""
        return self.clipped_weights is not None and not np.array_equal(
            self.clipped_weights, self.weights
        )

    @property
    def starts(self) -> np.ndarray:
        """First row of each group."""
        return np.concatenate(([0], np.cumsum(self.sizes)[:-1])).astype(np.int64)


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
    seen = set(fit_rows.queries)
    is_new = np.array([query not in seen for query in validation_rows.queries], dtype=bool)
    shared = sorted(fit_groups & validation_groups)
    if shared:
        raise FlywheelError(
            f"{TRAINING_TABLE} has group {shared[0]} in both splits, so the validation would be "
            "on rows the model has seen; build again."
        )
    digest = _digest(features, parameters, seed, manifest.fingerprint, fit_rows, validation_rows)
    candidates = try_grid(fit_rows, validation_rows, features, parameters, seed, on_progress)
    best = best_of(candidates, parameters.errors_ahead)
    recipe = replace(parameters, num_leaves=best.num_leaves)
    report = on_progress if best.ndcg is None else None
    booster = fit_booster(
        fit_rows, features, recipe, best.rounds, seed, report, is_clipped=best.is_clipped
    )
    importance = _gain_importance(booster, features)
    if not any(importance.values()):
        raise NotTrainable(
            "No feature tells clicked documents from the others in the training set; "
            "give more ranking features or a longer log."
        )
    return TrainedModel(
        version=f"v{manifest.window_end:%Y%m%d}-{digest[:6]}",
        text=portable_text(booster),
        features=features,
        window_start=manifest.window_start,
        window_end=manifest.window_end,
        fingerprint=manifest.fingerprint,
        seed=seed,
        best_round=best.rounds,
        metrics={
            "num_leaves": best.num_leaves,
            "is_clipped": best.is_clipped,
            "rounds": best.rounds,
            **_validation_metrics(booster, validation_rows, is_new, best.ndcg is not None),
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
    # Models registered before these were declared do not say.
    recorded = {"extra_trees": False, "errors_ahead": 0.0, **judged.params}
    parameters = TrainingParameters(
        **{
            **{name: recorded[name] for name in TrainingParameters().declared()},
            "grid_leaves": (),
            "num_leaves": judged.metrics["num_leaves"],
            "rounds_without_validation": round(judged.metrics["rounds"] * more),
        }
    )
    rounds = parameters.rounds_without_validation
    seed = judged.params["seed"]
    digest = _digest(features, parameters, seed, manifest.fingerprint, rows)
    # Models registered before there was a choice have none recorded.
    is_clipped = judged.metrics.get("is_clipped", False)
    booster = fit_booster(
        rows, features, parameters, rounds, seed, on_progress, is_clipped=is_clipped
    )
    return TrainedModel(
        version=f"v{window_end:%Y%m%d}-{digest[:6]}",
        text=portable_text(booster),
        features=features,
        window_start=manifest.window_start,
        window_end=window_end,
        fingerprint=manifest.fingerprint,
        seed=seed,
        best_round=rounds,
        metrics={
            "num_leaves": parameters.num_leaves,
            "is_clipped": is_clipped,
            "rounds": rounds,
            "n_fit_rows": len(rows.labels),
            "n_fit_groups": len(rows.sizes),
            "gain_importance": _gain_importance(booster, features),
        },
        parameters={
            **parameters.declared(),
            "seed": seed,
            "lightgbm": lgb.__version__,
            "content_sha256": digest,
            "refit_of": judged.version,
        },
    )


def try_grid(
    fit_rows: GroupedRows,
    validation_rows: GroupedRows,
    features: FeatureList,
    parameters: TrainingParameters,
    seed: int,
    on_progress: Progress | None = None,
) -> list[Candidate]:
    """Every recipe of the grid with its metric over the folds; one where nothing can be compared.

    How much a tree may resolve, and how many trees there may be, depends on the log. A single
    validation of a few hundred clicks tells it badly, and stops at a chance peak after a few trees.
    So each recipe is fitted on more and more of the log in turn, and measured on what came next.

    Weights that are clipped more tightly cost truth and save variance, which is worth it where
    clicks are few: the leaves are tried with them, and the best leaves without, which have to be
    clearly ahead (`choice`). What is measured is the debiased metric in either case.

    Raises:
        FlywheelError: LightGBM refuses the data.
    """
    is_clipped = fit_rows.has_clipped
    if len(validation_rows.sizes) < parameters.min_validation_groups:
        return [
            Candidate(parameters.num_leaves, is_clipped, parameters.rounds_without_validation, None)
        ]
    most = (len(parameters.grid_leaves) + is_clipped) * parameters.max_rounds
    candidates: list[Candidate] = []

    def report(done: int, _: int, label: str) -> None:
        if on_progress is not None:
            on_progress(len(candidates) * parameters.max_rounds + done, most, label)

    def attempt(leaves: int, is_clipped: bool) -> FoldCurve:
        recipe = replace(parameters, num_leaves=leaves)
        return fold_curve(
            fit_rows, validation_rows, features, recipe, seed, report, is_clipped=is_clipped
        )

    curves = {}
    for leaves in parameters.grid_leaves:
        curves[leaves] = curve = attempt(leaves, is_clipped)
        candidates.append(Candidate(leaves, is_clipped, curve.rounds, curve.best))
    if is_clipped:
        leaves = best_of(candidates, parameters.errors_ahead).num_leaves
        full = attempt(leaves, False)
        error = paired_error(full, curves[leaves])
        candidates.append(Candidate(leaves, False, full.rounds, full.best, error))
    return candidates


def fold_ends(n_fit: int, n_validation: int, parameters: TrainingParameters) -> list[int]:
    """Where folds are cut: numbers of the first group that is not fitted on, the latest last.

    Each fold is fitted on all groups before its cut and measured on as many after it as the
    validation has; the last fold is the fit and the validation themselves. Groups stand in order
    of their day, so a cut before the last may fall within a day: nothing leaks, because features
    are as of the day before and a group's clicks stand on one side.

    Args:
        n_fit: groups to fit on.
        n_validation: groups that follow them; above 0.
        parameters: how many folds there may be.
    """
    wanted = -(-parameters.enough_held_out_groups // n_validation)
    ends = [n_fit - n_validation * back for back in range(min(parameters.max_folds, wanted))]
    fewest = max(parameters.min_validation_groups, n_validation)
    return [n_fit, *(end for end in ends[1:] if end >= fewest)][::-1]


def fold_curve(
    fit_rows: GroupedRows,
    validation_rows: GroupedRows,
    features: FeatureList,
    parameters: TrainingParameters,
    seed: int,
    on_progress: Progress | None = None,
    *,
    is_clipped: bool = False,
) -> FoldCurve:
    """Mean `neutral_ndcg` of the folds after each tree, until it has not risen for a while.

    Raises:
        FlywheelError: LightGBM refuses the data.
    """
    parts = (fit_rows, validation_rows)
    labels, weights, sizes, queries = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("labels", "weights", "sizes", "queries")
    )
    starts = np.concatenate(([0], np.cumsum(sizes)))
    n_fit, n_validation = (len(part.sizes) for part in parts)
    held_out = {}
    for cut in fold_ends(n_fit, n_validation, parameters):
        rows = slice(starts[cut], starts[cut + n_validation])
        held_out[starts[cut]] = GroupedRows(
            np.empty((0, 0)),
            labels[rows],
            weights[rows],
            sizes[cut : cut + n_validation],
            queries=queries[cut : cut + n_validation],
        )
    options = lightgbm_options(parameters, int(sizes.max()), seed)
    options["num_threads"] = parameters.num_threads or threads_for(len(labels))
    data = lgb.Dataset(
        [part.matrix for part in parts],
        label=labels,
        weight=np.concatenate([part.to_fit(is_clipped) for part in parts]),
        group=sizes,
        feature_name=_model_names(features),
        params=options,
    )

    history: list[float] = []
    gains: dict[int, np.ndarray] = {}
    best_gains: dict[int, np.ndarray] = {}

    def metric(scores: np.ndarray, fold: lgb.Dataset) -> tuple[str, float, bool]:
        first = fold.used_indices[0]
        rows = held_out[first]
        gains[first] = neutral_gains(scores, rows)
        return FOLD_METRIC, weighted_mean(gains[first], rows), True

    def keep_best(_: lgb.callback.CallbackEnv) -> None:
        if history[-1] > max(history[:-1], default=-1.0):
            best_gains.update(gains)

    try:
        lgb.cv(
            options,
            data,
            parameters.max_rounds,
            folds=[
                (np.arange(first), np.arange(first, first + len(rows.labels)))
                for first, rows in held_out.items()
            ],
            feval=metric,
            callbacks=[
                _reporter(history, parameters.max_rounds, on_progress),
                keep_best,
                lgb.early_stopping(parameters.early_stopping_rounds, verbose=False),
            ],
        )
    except lgb.basic.LightGBMError as error:
        raise _refused(error) from error
    folds = held_out.values()
    of_groups = [rows.weights[rows.starts] for rows in folds]
    return FoldCurve(
        means=np.array(history),
        gains=np.concatenate([best_gains[first] for first in held_out]),
        shares=np.concatenate([each / each.sum() / len(folds) for each in of_groups]),
        queries=np.concatenate([rows.queries for rows in folds]),
    )


def fit_booster(
    rows: GroupedRows,
    features: FeatureList,
    parameters: TrainingParameters,
    rounds: int,
    seed: int,
    on_progress: Progress | None = None,
    *,
    is_clipped: bool = False,
) -> lgb.Booster:
    """Fit LambdaRank with so many trees.

    Raises:
        FlywheelError: LightGBM refuses the data.
    """
    options = lightgbm_options(parameters, int(rows.sizes.max()), seed)
    options["num_threads"] = parameters.num_threads or threads_for(len(rows.labels))
    training_set = lgb.Dataset(
        rows.matrix,
        label=rows.labels,
        weight=rows.to_fit(is_clipped),
        group=rows.sizes,
        feature_name=_model_names(features),
        params=options,
    )
    try:
        return lgb.train(
            options, training_set, rounds, callbacks=[_reporter([], rounds, on_progress)]
        )
    except lgb.basic.LightGBMError as error:
        raise _refused(error) from error


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
        "extra_trees": parameters.extra_trees,
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
    return weighted_mean(neutral_gains(scores, rows, cutoff), rows)


def weighted_mean(gains: np.ndarray, rows: GroupedRows) -> float:
    """Mean of what groups gain, by their weights."""
    return float(np.average(gains, weights=rows.weights[rows.starts]))


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


def portable_text(booster: lgb.Booster) -> str:
    """The model's text without what does not decide a score (options, number of threads)."""
    text = booster.model_to_string()
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
    clipped_weights = np.empty(count, dtype=np.float64)
    names: list[str] = []
    queries: list[str] = []
    starts: list[int] = []
    at = 0
    reader = connection.sql(
        "select cast(group_id as varchar) as group_id, cast(query as varchar) as query, "
        "cast(is_positive as tinyint) as is_positive, "
        "cast(weight as double) as weight, cast(clipped_weight as double) as clipped_weight"
        f"{select_features(features.names)} "
        f"from {table} where split = '{split}' order by row_order"
    ).to_arrow_reader(BATCH_ROWS)
    for batch in reader:
        end = at + batch.num_rows
        matrix[at:end] = matrix_of(batch, features.names)
        labels[at:end] = np.nan_to_num(doubles(batch.column("is_positive")), nan=-1)
        weights[at:end] = doubles(batch.column("weight"))
        clipped_weights[at:end] = doubles(batch.column("clipped_weight"))
        for offset, name in _group_starts(batch.column("group_id"), names[-1] if names else None):
            starts.append(at + offset)
            names.append(name)
            queries.append(batch.column("query")[offset].as_py())
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
    rows = GroupedRows(
        matrix, labels, weights, sizes, clipped_weights, np.array(queries, dtype=object)
    )
    if count:
        _check_groups(rows, names, table)
    return rows, groups


def _refused(error: lgb.basic.LightGBMError) -> FlywheelError:
    return FlywheelError(f"LightGBM refuses the training set: {error}.")


def _gain_importance(booster: lgb.Booster, features: FeatureList) -> dict[str, float]:
    """What each feature took off the loss, the largest first."""
    gains = booster.feature_importance("gain")
    order = np.argsort(-gains, kind="stable")
    return {features.names[i]: round(float(gains[i]), 6) for i in order}


def _validation_metrics(
    booster: lgb.Booster, rows: GroupedRows, is_new: np.ndarray, has_enough: bool
) -> dict[str, float | None]:
    """The metric over the validation, of a random order, and over groups of new queries."""
    names = (METRIC, f"{METRIC}_at_random", f"{METRIC}_of_new_queries")
    if not len(rows.sizes):
        return dict.fromkeys(names)
    scores = booster.predict(rows.matrix)
    gains = neutral_gains(scores, rows)
    weights = rows.weights[rows.starts]
    of_new = float(np.average(gains[is_new], weights=weights[is_new])) if is_new.any() else None
    if not has_enough:
        return dict(zip(names, (None, None, of_new), strict=True))
    found = (neutral_ndcg(scores, rows), neutral_ndcg(np.zeros(len(scores)), rows), of_new)
    return dict(zip(names, found, strict=True))


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
    weighted = rows.sizes
    for weights in (rows.weights, rows.to_fit(is_clipped=True)):
        first = np.repeat(weights[starts], rows.sizes)
        is_well = (weights == first) & (first > 0) & np.isfinite(first)
        weighted = np.minimum(weighted, np.add.reduceat(is_well, starts, dtype=np.int64))
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
        for array in (
            rows.matrix,
            rows.labels,
            rows.weights,
            rows.sizes,
            rows.to_fit(rows.has_clipped),
        ):
            digest.update(repr((array.shape, array.dtype.str)).encode())
            digest.update(np.ascontiguousarray(array))
        digest.update(repr(rows.queries.tolist()).encode())
    return digest.hexdigest()
