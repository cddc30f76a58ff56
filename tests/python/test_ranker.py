"""Training and scoring: the estimator's algebra, determinism, the metric, files and errors."""

import itertools
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flywheel import registry
from flywheel.errors import FlywheelError
from flywheel.files import sha256_file
from flywheel.ranker import scoring, training
from flywheel.ranker.choice import Candidate, FoldCurve, best_of, paired_error
from flywheel.ranker.features import NORMALIZED_QUERY, FeatureList
from flywheel.ranker.scoring import score_evaluation_rows, score_file
from flywheel.ranker.training import (
    GroupedRows,
    NotTrainable,
    TrainingParameters,
    fit_booster,
    lightgbm_options,
    neutral_ndcg,
    train,
)
from flywheel.registry import snapshots
from flywheel.serving import load_deployment
from flywheel.settings import Settings
from flywheel.warehouse import connect
from ranker_fixtures import NOW, PROJECT, FakeModel, new_flywheel, write_training_set

QUICK = TrainingParameters(max_rounds=60, early_stopping_rounds=10, min_data_in_leaf=5)
PRICE = "price (EUR)"


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """Homes to copy: one with a training set, one with a model registered besides."""
    built = new_flywheel(tmp_path_factory.mktemp("built"))
    write_training_set(built)
    trained = copy_of(built.home, tmp_path_factory.mktemp("trained"))
    model = train(trained, parameters=QUICK)
    registry.register(trained, model, at=NOW)
    return built.home, trained.home, model.version


def copy_of(home: Path, folder: Path) -> Settings:
    copy = shutil.copytree(home, folder / "home")
    return Settings(project=PROJECT, home=copy, database=copy / "warehouse.duckdb")


@pytest.fixture
def settings(templates: tuple[Path, Path, str], tmp_path: Path) -> Settings:
    return copy_of(templates[0], tmp_path)


@pytest.fixture
def registered(templates: tuple[Path, Path, str], tmp_path: Path) -> tuple[Settings, str]:
    return copy_of(templates[1], tmp_path), templates[2]


def execute(settings: Settings, sql: str) -> list[tuple]:
    with connect(settings, read_only=False) as connection:
        return connection.execute(sql).fetchall()


# --- the estimator -------------------------------------------------------------------------------


def click_log(seed: int = 3, n_queries: int = 40, n_docs: int = 6):
    """Clicks with inverse propensities: (query, clicked document, weight) and the features."""
    rng = np.random.default_rng(seed)
    features = rng.integers(0, 30, (n_queries, n_docs, 3)).astype(float)
    clicks = [
        (query, int(rng.integers(n_docs)), float(rng.integers(1, 16)) / 4)
        for query in range(n_queries)
        for _ in range(8)
    ]
    return features, clicks


def grouped(features: np.ndarray, clicks) -> GroupedRows:
    n_docs = features.shape[1]
    labels = np.zeros((len(clicks), n_docs), dtype=np.int8)
    for row, (_, doc, _) in enumerate(clicks):
        labels[row, doc] = 1
    return GroupedRows(
        matrix=np.concatenate([features[query] for query, _, _ in clicks]),
        labels=labels.ravel(),
        weights=np.repeat([weight for _, _, weight in clicks], n_docs),
        sizes=np.full(len(clicks), n_docs),
    )


# Options without terms that depend on the number of rows, so that only gradients are compared; in
# which order leaves draw their thresholds does.
BARE = TrainingParameters(
    rounds_without_validation=25,
    min_data_in_leaf=1,
    lambda_l2=0.5,
    num_leaves=7,
    extra_trees=False,
)
THREE = FeatureList(("f_a", "f_b", "f_c"))


def predictions(rows: GroupedRows, features: np.ndarray, **overrides) -> np.ndarray:
    """Predictions for all documents; overrides are options of LightGBM."""
    if not overrides:
        booster = fit_booster(rows, THREE, BARE, BARE.rounds_without_validation, 0)
    else:
        options = lightgbm_options(BARE, int(rows.sizes.max()), 0) | overrides
        data = lgb.Dataset(
            rows.matrix, rows.labels, weight=rows.weights, group=rows.sizes, params=options
        )
        booster = lgb.train(options, data, BARE.rounds_without_validation)
    return booster.predict(features.reshape(-1, features.shape[2]))


def test_merging_the_clicks_on_one_document_changes_nothing():
    features, clicks = click_log()
    merged: dict[tuple[int, int], float] = {}
    for query, doc, weight in clicks:
        merged[query, doc] = merged.get((query, doc), 0.0) + weight
    few = [(query, doc, weight) for (query, doc), weight in merged.items()]
    assert len(few) < 0.7 * len(clicks)
    one = predictions(grouped(features, clicks), features)
    other = predictions(grouped(features, few), features)
    assert np.ptp(one) > 1
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_weights_matter_as_row_weights_and_vanish_as_label_gains():
    features, clicks = click_log()
    rows = grouped(features, clicks)
    naive = predictions(
        GroupedRows(rows.matrix, rows.labels, rows.weights * 0 + 1, rows.sizes), features
    )
    weighted = predictions(rows, features)
    assert np.abs(weighted - naive).max() > 0.05
    # The weight as the gain of a label of its own: LightGBM divides it out again.
    levels = np.unique(rows.weights)
    labels = np.where(rows.labels == 1, np.searchsorted(levels, rows.weights) + 1, 0)
    as_gain = GroupedRows(rows.matrix, labels, rows.weights * 0 + 1, rows.sizes)
    encoded = predictions(as_gain, features, label_gain=[0, *levels.tolist()])
    np.testing.assert_allclose(encoded, naive, atol=1e-6)


def test_first_gradient_is_the_hand_formula():
    """One leaf value after one step with a huge penalty is -gradient / penalty.

    Group of four tied documents, the positive stored second. With ranks 1..4 by stored order,
    discount D(r) = 1/log2(1+r) and all scores 0 (rho = 1/2), the positive is pulled up by
    w/2 * (|D2-D1| + |D2-D3| + |D2-D4|).
    """
    weight, penalty = 3.0, 1e8
    discount = 1 / np.log2(1 + np.arange(1, 5))
    expected = weight / 2 * np.abs(discount[1] - discount[[0, 2, 3]]).sum()
    matrix = np.tile(np.array([[0.0], [1.0], [0.0], [0.0]]), (30, 1))
    rows = GroupedRows(matrix, np.tile([0, 1, 0, 0], 30), np.full(120, weight), np.full(30, 4))
    options = lightgbm_options(BARE, 4, 0) | {"lambda_l2": penalty, "learning_rate": 1.0}
    data = lgb.Dataset(
        rows.matrix, rows.labels, weight=rows.weights, group=rows.sizes, params=options
    )
    booster = lgb.train(options, data, 1)
    leaf = booster.predict(np.array([[1.0]]))[0]
    assert leaf * penalty / 30 == pytest.approx(expected, rel=1e-4)


def test_scale_of_the_weights_scales_the_gradients_only():
    features, clicks = click_log()
    rows = grouped(features, clicks)
    big = GroupedRows(rows.matrix, rows.labels, rows.weights * 4, rows.sizes)
    options = {"lambda_l2": 0.0, "min_sum_hessian_in_leaf": 0.0}
    np.testing.assert_allclose(
        predictions(rows, features, **options), predictions(big, features, **options), atol=1e-5
    )


def test_options_that_make_it_inverse_propensity_scoring():
    options = lightgbm_options(QUICK, 57, 0)
    assert options["label_gain"] == [0, 1]
    assert options["lambdarank_norm"] is False
    assert options["lambdarank_truncation_level"] == 57
    assert lightgbm_options(QUICK, 4, 0)["lambdarank_truncation_level"] == 10


# --- the validation metric -----------------------------------------------------------------------


def one_hot(position: int, size: int) -> np.ndarray:
    return (np.arange(size) == position).astype(np.int8)


def test_metric_equals_the_hand_value():
    # Ranks of the positives: 1, 3; a group of 12 with the positive last, beyond the cut-off.
    rows = GroupedRows(
        matrix=np.zeros((18, 1)),
        labels=np.concatenate([one_hot(0, 2), one_hot(3, 4), one_hot(5, 12)]),
        weights=np.repeat([1.0, 2.0, 5.0], [2, 4, 12]),
        sizes=np.array([2, 4, 12]),
    )
    ascending = np.arange(12.0)
    ascending[5] = -1
    scores = np.concatenate([[2.0, 1.0], [9.0, 8.0, 1.0, 7.0], ascending])
    assert neutral_ndcg(scores, rows) == pytest.approx((1 * 1 + 2 * 0.5 + 5 * 0) / 8)


def test_metric_gives_ties_their_expected_value_whatever_the_stored_order():
    d1, d2, d3 = 1 / np.log2([2.0, 3.0, 4.0])
    for stored_at in range(4):
        rows = GroupedRows(np.zeros((4, 1)), one_hot(stored_at, 4), np.ones(4), np.array([4]))
        scores = np.full(4, 2.0)
        scores[(stored_at + 1) % 4] = 1.0  # one below, two tied with the positive
        assert neutral_ndcg(scores, rows) == pytest.approx((d1 + d2 + d3) / 3)
    # Ties that straddle the cut-off: 12 tied, ten of the ranks count.
    rows = GroupedRows(np.zeros((12, 1)), one_hot(4, 12), np.ones(12), np.array([12]))
    expected = (1 / np.log2(1 + np.arange(1, 11))).sum() / 12
    assert neutral_ndcg(np.zeros(12), rows) == pytest.approx(expected)


def test_metric_equals_the_mean_over_all_orders_of_the_tied_rows():
    rng = np.random.default_rng(1)
    sizes = np.array([5, 3, 14, 1])
    labels = np.concatenate([one_hot(int(rng.integers(n)), n) for n in sizes])
    weights = np.repeat([0.3, 2.0, 1.0, 4.0], sizes)
    scores = rng.integers(0, 3, sizes.sum()).astype(float)
    rows = GroupedRows(np.zeros((sizes.sum(), 1)), labels, weights, sizes)
    draws = 20_000
    total = np.zeros(draws)
    for start, size in zip(rows.starts, sizes, strict=True):
        part = slice(start, start + size)
        jitter = scores[part] + rng.random((draws, size)) * 0.5
        own = jitter[:, labels[part] == 1]
        rank = 1 + (jitter > own).sum(axis=1)
        total += weights[start] * np.where(rank <= 10, 1 / np.log2(1 + rank), 0)
    total /= weights[rows.starts].sum()
    error = total.std() / np.sqrt(draws)
    assert abs(neutral_ndcg(scores, rows) - total.mean()) < 4 * error


# --- training from the warehouse -----------------------------------------------------------------


def test_training_learns_the_known_order(settings: Settings):
    seen: list[tuple[int, int, str]] = []
    model = train(settings, parameters=QUICK, on_progress=lambda *a: seen.append(a))
    assert model.feature_names == ("f_a", f"f_{PRICE}", "bhv_click_rate")
    assert model.metrics["n_fit_groups"] == 90
    assert model.metrics["n_validation_groups"] == 30
    with connect(settings) as connection:
        rows, _ = training.read_groups(connection, "validation", model.features)
    oracle = neutral_ndcg(2 * rows.matrix[:, 0] - rows.matrix[:, 1], rows)
    chance = (1 / np.log2(1 + np.arange(1, 9))).mean()
    assert model.metrics["validation_ndcg_at_10_at_random"] == pytest.approx(chance)
    assert oracle > chance + 0.3
    assert model.metrics["validation_ndcg_at_10"] > oracle - 0.1
    assert (
        seen[0][:2] == (1, 240)
        and 60 < seen[-1][0] <= 240
        and [done for done, *_ in seen] == sorted(done for done, *_ in seen)
        and seen[0][2].startswith("validation nDCG@10 0.")
    )
    assert model.best_round <= len(seen)
    grid = model.metrics["grid"]
    *clipped, full = [(c["num_leaves"], c["is_clipped"]) for c in grid]
    assert clipped == [(4, True), (7, True), (15, True)]
    best_clipped = max(grid[:3], key=lambda c: c["folds_ndcg_at_10"])
    assert full == (best_clipped["num_leaves"], False)
    recipe = (model.metrics["num_leaves"], model.metrics["is_clipped"])
    chosen = next(c for c in grid if (c["num_leaves"], c["is_clipped"]) == recipe)
    lead = grid[3]["folds_ndcg_at_10"] - best_clipped["folds_ndcg_at_10"]
    assert 0 < grid[3]["error"] < 0.1 and not any(c["error"] for c in grid[:3])
    assert chosen is (grid[3] if lead > QUICK.errors_ahead * grid[3]["error"] else best_clipped)
    assert chosen["rounds"] == model.best_round
    booster = lgb.Booster(model_str=model.text)
    grid = np.array([[1.0, 1.0, np.nan], [1.8, 0.2, np.nan], [0.2, 1.8, np.nan]])
    middle, best, worst = booster.predict(grid)
    assert best > middle >= worst
    assert booster.num_trees() == model.best_round


def test_same_input_gives_the_same_bytes(settings: Settings, tmp_path: Path):
    one = train(settings, parameters=QUICK)
    again = train(settings, parameters=QUICK)
    single, double = (
        train(settings, parameters=TrainingParameters(**{**QUICK.declared(), "num_threads": n}))
        for n in (1, 2)
    )
    assert one.text == again.text == single.text == double.text
    assert one.version == again.version == single.version == double.version
    assert one.version.startswith("v20260215-") and len(one.version) == 16
    # The table's physical order is not the rows' order.
    execute(
        settings,
        "create or replace table main_intermediate.int_training_rows as "
        "select * from main_intermediate.int_training_rows order by md5(doc_id || group_id)",
    )
    assert train(settings, parameters=QUICK).text == one.text
    with connect(settings) as connection:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            one.write_files(connection, tmp_path / name)
    for file in ("model.txt", "features.json", "behavior.parquet"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_threads_only_where_there_is_work_for_them():
    assert training.threads_for(training.SMALL_TRAINING_SET - 1) == 1
    assert training.threads_for(training.SMALL_TRAINING_SET) == os.cpu_count()


def test_another_seed_parameter_or_row_gives_another_name(settings: Settings):
    names = {train(settings, parameters=QUICK).version}
    names.add(train(settings, parameters=QUICK, seed=1).version)
    names.add(train(settings, parameters=TrainingParameters(max_rounds=60)).version)
    names.add(train(settings, parameters=replace(QUICK, extra_trees=False)).version)
    execute(
        settings,
        "update main_intermediate.int_training_rows set f_a = f_a + 1 where row_order = 5",
    )
    names.add(train(settings, parameters=QUICK).version)
    # Queries are what the error of the folds' metric counts.
    execute(settings, f"update {ROWS} set query = 'query 1' where split = 'validation'")
    names.add(train(settings, parameters=QUICK).version)
    assert len(names) == 6


def test_stored_order_hardly_matters(settings: Settings):
    """Ties before the first tree are broken by stored order; the result must not hang on it."""
    features = FeatureList(("f_a", f"f_{PRICE}", "bhv_click_rate"))
    texts, metrics = [], []
    for order in ("hash", "other_hash"):
        write_training_set(settings, order=order)
        with connect(settings) as connection:
            fit_rows, _ = training.read_groups(connection, "fit", features)
            later, _ = training.read_groups(connection, "validation", features)
        # Draws aside: another first tree draws other thresholds from there on.
        booster = fit_booster(fit_rows, features, replace(QUICK, extra_trees=False), 30, 0)
        texts.append(training.portable_text(booster))
        metrics.append(neutral_ndcg(booster.predict(later.matrix), later))
    assert texts[0] != texts[1]
    assert abs(metrics[0] - metrics[1]) < 0.02


def test_model_text_without_options_scores_alike(settings: Settings):
    with connect(settings) as connection:
        features = FeatureList(("f_a", f"f_{PRICE}", "bhv_click_rate"))
        rows, _ = training.read_groups(connection, "fit", features)
    booster = fit_booster(rows, features, QUICK, 40, 0)
    text = training.portable_text(booster)
    assert "num_threads" not in text
    np.testing.assert_array_equal(
        lgb.Booster(model_str=text).predict(rows.matrix),
        booster.predict(rows.matrix),
    )


def test_groups_are_read_whole_across_batches(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    features = FeatureList(("f_a", "bhv_click_rate"))
    with connect(settings) as connection:
        whole, names = training.read_groups(connection, "fit", features)
        monkeypatch.setattr(training, "BATCH_ROWS", 5)
        pieces, names_again = training.read_groups(connection, "fit", features)
    np.testing.assert_array_equal(whole.sizes, np.full(90, 8))
    np.testing.assert_array_equal(whole.sizes, pieces.sizes)
    np.testing.assert_array_equal(whole.matrix, pieces.matrix)
    assert names == names_again
    assert np.isnan(whole.matrix[:, 1]).any() and not np.isnan(whole.matrix[:, 0]).any()


def test_not_trainable_says_why(tmp_path: Path):
    settings = new_flywheel(tmp_path)
    write_training_set(settings, trainable=False, reason="There are 12 clicks; 100 are needed.")
    with pytest.raises(NotTrainable, match=r"^There are 12 clicks; 100 are needed\.$"):
        train(settings)


ROWS = "main_intermediate.int_training_rows"


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (f"update {ROWS} set row_order = -1 where doc_id = 'd3'", FlywheelError, "together"),
        (f"update {ROWS} set is_positive = 1 where doc_id = 'd3'", FlywheelError, "positive row"),
        (f"update {ROWS} set is_positive = 0", FlywheelError, "exactly one positive"),
        (f"update {ROWS} set is_positive = null where is_positive = 0", FlywheelError, "neither"),
        (f"update {ROWS} set weight = 9 where doc_id = 'd3'", FlywheelError, "weight"),
        (f"update {ROWS} set weight = -1", FlywheelError, "weight"),
        (f"update {ROWS} set weight = null", FlywheelError, "weight"),
        (f"insert into {ROWS} select * replace ('fit' as split, row_order + 9999 as row_order) "
         f"from {ROWS} where group_id = 'g0000'", FlywheelError, "g0000 in both splits"),
        (f"delete from {ROWS}", NotTrainable, "no group"),
        (f"update {ROWS} set f_a=1, \"f_price (EUR)\"=1, bhv_click_rate=1", NotTrainable, "tells"),
        (f"alter table {ROWS} rename f_a to a; alter table {ROWS} rename \"f_price (EUR)\" to b;"
         f"alter table {ROWS} rename bhv_click_rate to c", NotTrainable, "no feature "),
        ("drop table fct_training_manifest", FlywheelError, "flywheel build"),
        (f"drop table {ROWS}", FlywheelError, "no table .*int_training_rows; run `flywheel build"),
        ("delete from fct_training_manifest", FlywheelError, "flywheel build"),
    ],
)  # fmt: skip
def test_broken_training_sets_are_refused(settings: Settings, damage: str, error, message: str):
    execute(settings, damage)
    with pytest.raises(error, match=message):
        train(settings, parameters=QUICK)


def test_a_feature_without_a_value_is_not_asked_for(settings: Settings):
    execute(settings, f"alter table {ROWS} add column f_brand double")
    execute(settings, f"update {ROWS} set bhv_click_rate = null")
    assert train(settings, parameters=QUICK).feature_names == ("f_a", f"f_{PRICE}")


def test_the_best_of_the_grid_is_the_smallest_of_the_best():
    candidates = [
        Candidate(leaves, False, 9, metric)
        for leaves, metric in ((31, 0.7), (15, 0.7), (7, 0.6), (63, 0.65))
    ]
    assert best_of(candidates, 1.0).num_leaves == 15
    assert best_of([Candidate(15, True, 9, None)], 1.0).num_leaves == 15


def test_full_weights_are_taken_only_where_they_are_clearly_ahead():
    """.5 against .53: an error of .028 is less than the lead, one of .032 is more."""

    def is_clipped(full: float, error: float, errors_ahead: float = 1.0) -> bool:
        tried = [Candidate(7, True, 9, 0.5), Candidate(7, False, 9, full, error)]
        return best_of(tried, errors_ahead).is_clipped

    assert not is_clipped(0.53, 0.028)
    assert is_clipped(0.53, 0.032)
    assert is_clipped(0.53, 0.028, errors_ahead=2.0)
    assert not is_clipped(0.53, 0.028, errors_ahead=0.0)
    assert is_clipped(0.5, 0.0)


def test_the_error_of_a_difference_is_that_of_paired_queries():
    """By hand: differences .4, 0, -.2, 0 with shares .25, .25, .3, .2 have a mean of .04.

    The shares of their deviations are .09, -.01, -.072 and -.008. Each its own query: the squares
    sum to .013448, times 4/3. The first two of one query: .08, -.072, -.008, times 3/2.
    """
    shares = np.array([0.25, 0.25, 0.3, 0.2])

    def error(one: list[float], other: list[float], queries: str) -> float:
        curves = (
            FoldCurve(np.zeros(1), np.array(gains), shares, np.array(list(queries), dtype=object))
            for gains in (one, other)
        )
        return paired_error(*curves)

    one, other = [0.9, 0.5, 0.3, 1.0], [0.5, 0.5, 0.5, 1.0]
    assert error(one, other, "abcd") == pytest.approx(np.sqrt(0.013448 * 4 / 3))
    assert error(one, other, "aabc") == pytest.approx(np.sqrt(0.011648 * 3 / 2))
    assert error(other, one, "aabc") == error(one, other, "aabc")
    assert error(one, one, "abcd") == 0
    assert error(one, other, "aaaa") == 1


def test_folds_are_cut_from_the_end_and_leave_something_to_fit():
    def ends(n_fit: int, n_validation: int, **choices: int) -> list[int]:
        return training.fold_ends(n_fit, n_validation, TrainingParameters(**choices))

    assert ends(850, 150) == [250, 400, 550, 700, 850]
    assert ends(850, 150, max_folds=3) == [550, 700, 850]
    assert ends(400, 150) == [250, 400]
    assert ends(90, 10, max_folds=9, min_validation_groups=50) == [50, 60, 70, 80, 90]
    assert ends(30, 100) == [30]
    # 700 twice are not 2,000 yet, three times they are; 2,000 are at once
    assert ends(7000, 700) == [5600, 6300, 7000]
    assert ends(9000, 2000) == [9000]


def test_the_curve_of_the_folds_is_that_of_models_fitted_before_each(settings: Settings):
    """Beside models fitted by hand on the groups before each cut, measured on what came next."""
    recipe = replace(QUICK, num_leaves=4, max_rounds=6, extra_trees=False)
    with connect(settings) as connection:
        columns = training.table_columns(connection, training.TRAINING_TABLE)
        features = training.known_features(connection, columns)
        fit_rows, _ = training.read_groups(connection, "fit", features)
        later, _ = training.read_groups(connection, "validation", features)
    curve = training.fold_curve(fit_rows, later, features, recipe, 0).means
    assert training.fold_ends(90, 30, recipe) == [30, 60, 90]
    rows = GroupedRows(
        *(
            np.concatenate([getattr(part, name) for part in (fit_rows, later)])
            for name in ("matrix", "labels", "weights", "sizes")
        )
    )
    size = 8  # documents a group
    expected = []
    for end in (30, 60, 90):
        before, after = slice(0, end * size), slice(end * size, (end + 30) * size)
        booster = fit_booster(
            GroupedRows(
                rows.matrix[before], rows.labels[before], rows.weights[before], rows.sizes[:end]
            ),
            features,
            recipe,
            6,
            0,
        )
        held_out = GroupedRows(
            rows.matrix[after], rows.labels[after], rows.weights[after], rows.sizes[end : end + 30]
        )
        expected.append(
            [
                neutral_ndcg(booster.predict(held_out.matrix, num_iteration=trees), held_out)
                for trees in range(1, 7)
            ]
        )
    # The folds share the bins of the whole, so single trees may differ, the metric hardly, where
    # no thresholds are drawn.
    assert curve == pytest.approx(np.mean(expected, axis=0), abs=0.02)
    # What the best number of trees gains, group by group, adds up to its mean.
    longer = replace(recipe, max_rounds=60, early_stopping_rounds=5)
    found = training.fold_curve(fit_rows, later, features, longer, 0)
    assert found.rounds < len(found.means) and found.best == found.means[found.rounds - 1]
    assert found.best == max(found.means) > found.means[-1]
    assert found.shares @ found.gains == pytest.approx(found.best)
    assert [len(set(found.queries[part : part + 30])) for part in (0, 30, 60)] == [30] * 3
    other = training.fold_curve(fit_rows, fit_rows, features, recipe, 0).means
    assert abs(curve[-1] - other[-1]) > 0.001


def test_each_candidate_is_the_model_of_its_leaves_alone(settings: Settings):
    model = train(settings, parameters=QUICK)
    tried = model.metrics["grid"]
    for candidate in tried[:3]:
        alone = train(settings, parameters=replace(QUICK, grid_leaves=(candidate["num_leaves"],)))
        assert alone.metrics["grid"][0] == candidate
        if candidate["num_leaves"] == model.metrics["num_leaves"]:
            assert alone.metrics["grid"][1] == tried[3]
            assert alone.text == model.text


def test_a_fit_with_clipped_weights_is_one_of_groups_that_weigh_so(settings: Settings):
    """The fit alone: what it is measured by keeps the weights that are true."""
    features = FeatureList(("f_a", f"f_{PRICE}", "bhv_click_rate"))
    with connect(settings) as connection:
        rows, _ = training.read_groups(connection, "fit", features)
        later, _ = training.read_groups(connection, "validation", features)
    assert rows.has_clipped
    assert (rows.clipped_weights == np.minimum(rows.weights, 1)).all()
    so_weighed = replace(rows, weights=rows.clipped_weights, clipped_weights=None)
    fits = [
        fit_booster(rows, features, QUICK, 20, 0, is_clipped=True),
        fit_booster(so_weighed, features, QUICK, 20, 0),
        fit_booster(rows, features, QUICK, 20, 0),
    ]
    clipped, weighed, full = map(training.portable_text, fits)
    assert clipped == weighed != full
    curves = [
        training.fold_curve(rows, later, features, QUICK, 0, is_clipped=is_clipped).means
        for is_clipped in (True, False)
    ]
    assert curves[0][0] != curves[1][0]
    at_once = replace(QUICK, max_folds=1)
    curve = training.fold_curve(rows, later, features, at_once, 0, is_clipped=True).means
    scores = fits[0].predict(later.matrix, num_iteration=1)
    assert curve[0] == pytest.approx(neutral_ndcg(scores, later), abs=0.02)
    assert not so_weighed.has_clipped


def test_the_metric_on_queries_the_fit_has_never_seen(settings: Settings):
    """All queries of the fixture are their split's own; take half of them away from it."""
    assert train(settings, parameters=QUICK).metrics["n_validation_groups_of_new_queries"] == 30
    execute(
        settings,
        f"update {ROWS} set query = 'query 1' where split = 'validation' and group_id < 'g0060'",
    )
    model = train(settings, parameters=QUICK)
    assert model.metrics["n_validation_groups_of_new_queries"] == 15
    with connect(settings) as connection:
        rows, _ = training.read_groups(connection, "validation", model.features)
        groups = connection.execute(
            f"select group_id from {ROWS} where split = 'validation' order by row_order"
        ).fetchall()
    scores = lgb.Booster(model_str=model.text).predict(rows.matrix)
    of_new = np.array([name >= "g0060" for (name,) in groups])
    weighted, total = 0.0, 0.0
    for start, size in zip(rows.starts, rows.sizes, strict=True):
        if of_new[start]:
            part = slice(start, start + size)
            one = GroupedRows(
                rows.matrix[part], rows.labels[part], rows.weights[part], np.array([size])
            )
            weighted += rows.weights[start] * neutral_ndcg(scores[part], one)
            total += rows.weights[start]
    found = model.metrics["validation_ndcg_at_10_of_new_queries"]
    assert found == pytest.approx(weighted / total)
    assert found != pytest.approx(model.metrics["validation_ndcg_at_10"], abs=1e-6)
    execute(settings, f"update {ROWS} set query = 'query 1'")
    assert train(settings, parameters=QUICK).metrics["validation_ndcg_at_10_of_new_queries"] is None


def test_a_refit_is_the_judged_recipe_on_all_rows(registered):
    settings, version = registered
    judged = registry.state(settings).version(version)
    model = training.refit(settings, judged)
    assert training.refit(settings, judged).text == model.text
    assert model.version.startswith("v20260220-")
    assert model.parameters["refit_of"] == version
    assert model.feature_names == judged.features
    assert model.metrics["n_fit_groups"] == 120
    rounds = round(judged.metrics["rounds"] * 120 / 90)  # of all groups, of those fitted on
    assert model.best_round == rounds > judged.metrics["rounds"]
    with connect(settings) as connection:
        rows, _ = training.read_groups(connection, "refit", model.features, training.REFIT_TABLE)
    recipe = replace(QUICK, num_leaves=judged.metrics["num_leaves"])
    is_clipped = judged.metrics["is_clipped"]
    expected = fit_booster(rows, model.features, recipe, rounds, 0, is_clipped=is_clipped)
    assert model.text == training.portable_text(expected)
    assert model.text != (settings.home / judged.artifact_path).read_text()

    registry.register(settings, model, at=NOW)
    registry.start_canary(settings, model.version, 0.5, at=NOW, retires=version)
    states = {name: known.state for name, known in registry.state(settings).versions.items()}
    assert states == {version: registry.RETIRED, model.version: registry.CANARY}
    assert registry.state(settings).version(model.version).refit_of == version
    reason = registry.state(settings).events[-1].reason
    assert reason == f"deployed as {model.version}, refitted up to the end of the log"

    execute(settings, "update fct_training_manifest set fingerprint = 'another'")
    with pytest.raises(FlywheelError, match="train again"):
        training.refit(settings, judged)


def test_a_refit_draws_thresholds_where_the_judged_model_did(registered):
    """Models registered before there was a choice have none recorded, and drew none."""
    settings, version = registered
    judged = registry.state(settings).version(version)
    assert judged.params["extra_trees"]
    params = {name: value for name, value in judged.params.items() if name != "extra_trees"}
    older = training.refit(settings, replace(judged, params=params))
    newer = training.refit(settings, judged)
    assert older.parameters["extra_trees"] is False
    assert older.version != newer.version and older.text != newer.text


def test_few_validation_groups_mean_that_nothing_is_tried(settings: Settings):
    parameters = TrainingParameters(
        min_validation_groups=1000, rounds_without_validation=7, min_data_in_leaf=5
    )
    model = train(settings, parameters=parameters)
    assert model.best_round == 7
    assert model.metrics["validation_ndcg_at_10"] is None


def test_a_training_set_built_again_in_between_is_noticed(settings: Settings):
    model = train(settings, parameters=QUICK)
    execute(settings, "update fct_training_manifest set fingerprint = 'another'")
    with pytest.raises(FlywheelError, match="train again"):
        registry.register(settings, model)
    assert not list(settings.models.iterdir())


def test_snapshot_without_a_trained_feature_is_refused(settings: Settings):
    model = train(settings, parameters=QUICK)
    execute(
        settings,
        "alter table main_intermediate.int_serving_behavior rename bhv_click_rate to bhv_other",
    )
    with pytest.raises(FlywheelError, match="lacks bhv_click_rate"):
        registry.register(settings, model)


# --- snapshots ---------------------------------------------------------------------------------


def more_is_known(settings: Settings, days: int = 1) -> None:
    """The log goes on: another rate for one pair, and a later end."""
    execute(
        settings,
        "update main_intermediate.int_serving_behavior set bhv_click_rate = bhv_click_rate / 2 "
        "where query = 'query 1'; update main_intermediate.int_windows "
        f"set evaluation_end = evaluation_end + interval '{days}' day",
    )


def served_rates(settings: Settings, arm: str) -> dict:
    served = load_deployment(settings.deployment_manifest).arms[arm].ranker.behavior
    keys = zip(served["query"].to_pylist(), served["doc_id"].to_pylist(), strict=True)
    return dict(zip(keys, served["bhv_click_rate"].to_pylist(), strict=True))


def test_users_get_what_the_log_knows_by_now(registered):
    settings, version = registered
    registry.start_canary(settings, version, 0.5, at=NOW)
    before = served_rates(settings, "canary")
    assert registry.refresh_snapshots(settings, at=NOW) == ()  # nothing is new
    more_is_known(settings)
    (taken,) = registry.refresh_snapshots(settings, at=NOW)
    assert (taken.snapshot_id, taken.model_version) == ("s000002", version)
    assert str(taken.as_of) == "2026-02-21 12:00:00"
    after = served_rates(settings, "canary")
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {key for key in before if key[0] == "query 1"} != set()
    assert all(after[key] == before[key] / 2 for key in changed)

    manifest = json.loads(settings.deployment_manifest.read_text())
    assert manifest["canary"]["snapshot"] == "s000002"
    assert manifest["canary"]["files"]["behavior"]["sha256"] == taken.file.sha256
    state = registry.state(settings)
    event = state.events[-1]
    assert (event.from_state, event.to_state) == ("canary", "canary")
    assert event.evidence["snapshot_id"] == "s000002"
    # The manifest before is kept with the file it named.
    kept = json.loads((settings.home / "deployments" / "e00000002.json").read_text())
    first = kept["canary"]["files"]["behavior"]
    assert sha256_file(settings.home / first["path"]) == first["sha256"] != taken.file.sha256

    registry.promote(settings, at=NOW)
    more_is_known(settings)
    (again,) = registry.refresh_snapshots(settings, at=NOW)
    assert registry.state(settings).version(version).snapshot == again
    more_is_known(settings, days=-2)
    assert registry.refresh_snapshots(settings, at=NOW) == ()  # never to an earlier day
    assert registry.state(settings).champion == version


def test_a_damaged_snapshot_is_not_served(registered):
    settings, version = registered
    registry.start_canary(settings, version, 0.5, at=NOW)
    more_is_known(settings)
    (taken,) = registry.refresh_snapshots(settings, at=NOW)
    (settings.home / taken.file.path).write_bytes(b"PAR1")
    with pytest.raises(FlywheelError, match="damaged"):
        registry.promote(settings, at=NOW)


@pytest.mark.parametrize("step", ["insert_snapshot", "move", "publish_manifest"])
def test_a_refresh_that_fails_changes_nothing_or_all(registered, monkeypatch, step):
    settings, version = registered
    registry.start_canary(settings, version, 0.5, at=NOW)
    before = registry.state(settings)
    more_is_known(settings)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(snapshots, step, fail)
        with pytest.raises(RuntimeError, match="killed"):
            registry.refresh_snapshots(settings, at=NOW)
    report = registry.repair(settings)
    after = registry.state(settings)
    published = step == "publish_manifest"
    assert report.manifest_rewritten == published
    assert len(report.removed) == (0 if published else 1)
    assert len(after.snapshots) == len(before.snapshots) + published
    on_disk = {p.relative_to(settings.home).as_posix() for p in settings.models.glob("*/*.parquet")}
    assert on_disk == {snapshot.file.path for snapshot in after.snapshots}
    named = json.loads(settings.deployment_manifest.read_text())["canary"]["snapshot"]
    assert named == after.version(version).snapshot.snapshot_id


# --- scoring -------------------------------------------------------------------------------------


def evaluation_table(settings: Settings) -> pa.Table:
    with connect(settings) as connection:
        return connection.sql(
            'select search_id, query, doc_id, f_a, "f_price (EUR)", bhv_click_rate '
            "from main_intermediate.int_evaluation_rows order by query, doc_id"
        ).to_arrow_table()


def test_evaluation_scores_equal_the_model_and_replace_older_ones(registered, monkeypatch):
    settings, version = registered
    monkeypatch.setattr(scoring, "BATCH_ROWS", 100)
    execute(
        settings,
        "insert into flywheel_state.ranker_scores values "
        f"('{version}', 's-g0001', 'd0', -99), ('{version}', 'an older search', 'd0', 5), "
        "('another', 's-g0001', 'd0', 6)",
    )
    done: list[tuple[int, int, str]] = []
    assert score_evaluation_rows(settings, version, on_progress=lambda *a: done.append(a)) == 1921
    assert done[-1] == (1921, 1921, "rows") and len(done) == 20
    assert score_evaluation_rows(settings, version) == 1921
    rows = execute(
        settings,
        'select e.f_a, e."f_price (EUR)", e.bhv_click_rate, s.score '
        "from flywheel_state.ranker_scores as s "
        "inner join main_intermediate.int_evaluation_rows as e using (search_id, doc_id) "
        f"where model_version = '{version}'",
    )
    values = np.array(rows, dtype=float)
    booster = lgb.Booster(model_file=settings.models / version / "model.txt")
    np.testing.assert_array_equal(booster.predict(values[:, :3]), values[:, 3])
    others = execute(
        settings,
        "select score from flywheel_state.ranker_scores where search_id = 'an older search' "
        "or model_version = 'another' order by score",
    )
    assert others == [(5,), (6,)]
    assert execute(settings, "select count(*) from flywheel_state.ranker_scores") == [(962,)]
    # A candidate is scored as where it was shown; so is one that never was.
    candidates = execute(
        settings,
        "select count(*), count(*) filter (c.score = s.score), "
        "count(*) filter (c.doc_id = 'never shown' and c.score is not null) "
        "from flywheel_state.candidate_scores as c "
        "left join main_intermediate.int_evaluation_rows as e using (query, doc_id) "
        "left join flywheel_state.ranker_scores as s "
        "on s.model_version = c.model_version and s.search_id = e.search_id "
        "and s.doc_id = e.doc_id",
    )
    assert candidates == [(961, 960, 1)]


def test_models_are_judged_on_the_same_knowledge_whatever_they_serve_with(registered):
    """Not by the snapshot of a deployed model, which may know the clicks it would be judged by."""
    settings, version = registered
    scores = "select * from flywheel_state.ranker_scores order by all"
    score_evaluation_rows(settings, version)
    as_challenger = execute(settings, scores)
    registry.start_canary(settings, version, 0.05, at=NOW)
    registry.promote(settings, at=NOW)
    more_is_known(settings)
    assert registry.refresh_snapshots(settings, at=NOW)
    assert score_evaluation_rows(settings, version) == 1921
    assert execute(settings, scores) == as_challenger
    execute(
        settings, "update main_intermediate.int_evaluation_rows set bhv_click_rate = 1 - f_a / 2"
    )
    score_evaluation_rows(settings, version)
    assert execute(settings, scores) != as_challenger


def test_a_failed_scoring_leaves_the_older_scores(registered, monkeypatch):
    settings, version = registered
    score_evaluation_rows(settings, version)
    before = execute(settings, "select * from flywheel_state.ranker_scores order by all")
    monkeypatch.setattr(scoring, "BATCH_ROWS", 100)

    def fail(done: int, total: int, label: str) -> None:
        if done > 300:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_evaluation_rows(settings, version, on_progress=fail)
    assert execute(settings, "select * from flywheel_state.ranker_scores order by all") == before


def test_the_logged_order_needs_no_scores(settings: Settings):
    assert score_evaluation_rows(settings, "logged") == 0


def test_evaluation_rows_without_a_feature_are_refused(registered):
    settings, version = registered
    execute(settings, "alter table main_intermediate.int_evaluation_rows rename f_a to f_z")
    with pytest.raises(FlywheelError, match=f"lacks f_a, which model {version}"):
        score_evaluation_rows(settings, version)


@pytest.mark.parametrize("prefix", ["", "f_"])
def test_scores_of_a_file_equal_those_of_the_warehouse(registered, tmp_path, monkeypatch, prefix):
    settings, version = registered
    monkeypatch.setattr(scoring, "BATCH_ROWS", 70)
    score_evaluation_rows(settings, version)
    table = evaluation_table(settings)
    shuffled = table.take(np.random.default_rng(0).permutation(table.num_rows))
    # Queries as users type them; numbers of several types; a column nobody asked for.
    typed = pa.array([f"  {q.upper()}".replace(" ", "\t ") for q in shuffled["query"].to_pylist()])
    source = pa.table(
        {
            "junk": pa.array(["x"] * table.num_rows),
            "doc_id": shuffled["doc_id"].combine_chunks().dictionary_encode(),
            f"{prefix}{PRICE}": shuffled["f_price (EUR)"],
            "query": typed,
            f"{prefix}a": shuffled["f_a"],
        }
    )
    pq.write_table(source, tmp_path / "in.parquet", row_group_size=100)
    written = score_file(
        settings, tmp_path / "in.parquet", tmp_path / "deep/out.parquet", "challenger"
    )
    out = pq.read_table(tmp_path / "deep/out.parquet")
    assert written == 960
    assert out.schema.names == ["query", "doc_id", "score", "model_version"]
    assert out["query"].to_pylist() == typed.to_pylist()
    assert out["doc_id"].to_pylist() == shuffled["doc_id"].to_pylist()
    assert set(out["model_version"].to_pylist()) == {version}
    known = {
        (search, doc): score
        for search, doc, score in execute(
            settings, "select search_id, doc_id, score from flywheel_state.ranker_scores"
        )
    }
    expected = [
        known[search, doc]
        for search, doc in zip(
            shuffled["search_id"].to_pylist(), shuffled["doc_id"].to_pylist(), strict=True
        )
    ]
    np.testing.assert_array_equal(out["score"].to_numpy(), expected)


def test_unknown_pairs_have_what_is_known_of_the_document(registered, tmp_path):
    settings, version = registered
    booster = lgb.Booster(model_file=settings.models / version / "model.txt")
    # A document for which it matters whether d7's behaviour, 0.25 in the snapshot, is known.
    a, price = next(
        (a / 10, price / 10)
        for a, price in itertools.product(range(20), range(20))
        if np.ptp(booster.predict([[a / 10, price / 10, b] for b in (0.25, np.nan)])) > 0
    )
    source = pa.table(
        {
            "query": ["never seen"] * 3,
            "doc_id": ["17", "d6", "d7"],
            "a": [1.0, 0.0, a],
            PRICE: [1.0, 0.0, price],
        }
    )
    pq.write_table(source, tmp_path / "in.parquet")
    score_file(settings, tmp_path / "in.parquet", tmp_path / "out.parquet", version)
    out = pq.read_table(tmp_path / "out.parquet")
    expected = booster.predict(np.array([[1, 1, np.nan], [0, 0, np.nan], [a, price, 0.25]]))
    np.testing.assert_array_equal(out["score"].to_numpy(), expected)


def test_document_identifiers_may_be_numbers(registered, tmp_path):
    settings, version = registered
    source = pa.table({"query": ["q"], "doc_id": [17], "a": [1], PRICE: [True]})
    pq.write_table(source, tmp_path / "in.parquet")
    score_file(settings, tmp_path / "in.parquet", tmp_path / "out.parquet", version)
    assert pq.read_table(tmp_path / "out.parquet")["doc_id"].to_pylist() == ["17"]


def test_features_are_in_an_order_of_their_own():
    features = FeatureList.of_columns(
        ["row_order", "bhv_b", "f_price", "f_f_01", "f_bhv_b", "behavior_known_on", "bhv_a"]
    )
    assert features.names == ("f_bhv_b", "f_f_01", "f_price", "bhv_a", "bhv_b")
    assert json.loads(features.to_json("v1"))["behavior_features"] == ["bhv_a", "bhv_b"]
    assert FeatureList.from_json(features.to_json("v1")) == features


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        (["a", "f_a"], {"f_a": "a", "f_f_a": "f_a"}),  # the user's own names
        (["f_a", "f_f_a"], {"f_a": "f_a", "f_f_a": "f_f_a"}),  # a table of the warehouse
    ],
)
def test_a_column_is_never_taken_for_its_namesake(present, expected):
    model = scoring.LoadedModel("v1", None, FeatureList(("f_a", "f_f_a")), Path())
    schema = pa.schema([(n, pa.string()) for n in ("query", "doc_id")])
    for name in present:
        schema = schema.append(pa.field(name, pa.float64()))
    columns = scoring._source_columns(schema, model, Path("x"))
    assert {k: v for k, v in columns.items() if k.startswith("f_")} == expected


def test_the_reference_reader_serves_the_same_scores(registered, tmp_path):
    settings, version = registered
    registry.start_canary(settings, version, 0.5, at=NOW)
    ranker = load_deployment(settings.deployment_manifest).canary.ranker
    table = evaluation_table(settings).select(["query", "doc_id", "f_a", "f_price (EUR)"])
    source = table.rename_columns(["query", "doc_id", "a", PRICE])
    unknown = {"query": ["never seen"] * 2, "doc_id": ["d7", "17"], "a": [1.8, 1.8], PRICE: [0, 0]}
    more = pa.concat_tables([source, pa.table(unknown).cast(source.schema)])
    pq.write_table(more, tmp_path / "in.parquet")
    score_file(settings, tmp_path / "in.parquet", tmp_path / "out.parquet", version)
    out = pq.read_table(tmp_path / "out.parquet")
    assert out["doc_id"].to_pylist()[-1] == "17"
    np.testing.assert_array_equal(ranker.score_table(more), out["score"].to_numpy())


def test_an_empty_file_gives_an_empty_file(registered, tmp_path):
    settings, version = registered
    source = pa.table(
        {"query": pa.array([], pa.string()), "doc_id": pa.array([], pa.string()),
         "a": pa.array([], pa.float32()), PRICE: pa.array([], pa.float32())}
    )  # fmt: skip
    pq.write_table(source, tmp_path / "in.parquet")
    assert score_file(settings, tmp_path / "in.parquet", tmp_path / "out.parquet", version) == 0
    assert pq.read_table(tmp_path / "out.parquet").schema.equals(scoring.OUTPUT_SCHEMA)


GOOD = {"query": ["q"], "doc_id": ["d"], "a": [1.0], PRICE: [2.0]}


@pytest.mark.parametrize(
    ("columns", "model", "message"),
    [
        ({**GOOD, "query": None}, "challenger", "has no column query;"),
        ({**GOOD, "doc_id": None, "query": None}, "challenger", "no column query and no column"),
        ({**GOOD, "a": None}, "challenger", "lacks the feature column a, which"),
        ({**GOOD, PRICE: ["dear"]}, "challenger", r"Column price \(EUR\) of .* is string, not a n"),
        ({**GOOD, "query": [None]}, "challenger", "Row 1 of .* has no query"),
        (GOOD, "champion", "still the logged order"),
        (GOOD, "logged", "logged order"),
        (GOOD, "v19990101-abcdef", "no model version 'v19990101-abcdef'; registered are: v2026"),
        (None, "challenger", "no readable Parquet"),
    ],
)
def test_files_that_cannot_be_scored(registered, tmp_path, columns, model, message):
    settings, _ = registered
    path = tmp_path / "in.parquet"
    if columns is None:
        path.write_text("query,doc_id\n")
    else:
        kinds = {"query": pa.string()}
        pq.write_table(
            pa.table({k: pa.array(v, kinds.get(k)) for k, v in columns.items() if v}), path
        )
    out = tmp_path / "out.parquet"
    out.write_text("what was there before")
    with pytest.raises(FlywheelError, match=message):
        score_file(settings, path, out, model)
    assert out.read_text() == "what was there before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home", "in.parquet", "out.parquet"]


def test_missing_input_and_output_over_the_input(registered, tmp_path):
    settings, version = registered
    with pytest.raises(FlywheelError, match="There is no file"):
        score_file(settings, tmp_path / "no.parquet", tmp_path / "out.parquet", version)
    pq.write_table(pa.table({k: pa.array(v) for k, v in GOOD.items()}), tmp_path / "in.parquet")
    with pytest.raises(FlywheelError, match="is the input"):
        score_file(settings, tmp_path / "in.parquet", tmp_path / "in.parquet", version)


@pytest.mark.parametrize("name", ["model.txt", "features.json", "behavior.parquet"])
def test_a_damaged_model_is_not_loaded(registered, tmp_path, name):
    settings, version = registered
    path = settings.models / version / name
    path.write_bytes(path.read_bytes() + b" ")
    pq.write_table(pa.table({k: pa.array(v) for k, v in GOOD.items()}), tmp_path / "in.parquet")
    with pytest.raises(FlywheelError, match=f"{name} .* is damaged"):
        score_file(settings, tmp_path / "in.parquet", tmp_path / "out.parquet", version)
    with pytest.raises(FlywheelError, match="damaged"):
        score_evaluation_rows(settings, version)


def test_files_of_something_else_are_no_model(settings: Settings):
    registry.register(settings, FakeModel("v1"), at=NOW)
    with pytest.raises(FlywheelError, match="train again"):
        score_evaluation_rows(settings, "v1")


def test_queries_are_normalised_as_in_the_warehouse():
    macro = PROJECT / "macros/sessions/normalize_query.sql"
    if not macro.exists():
        pytest.skip("the macro is not there yet")
    spelling = NORMALIZED_QUERY.replace("{column}", "{{ text }}")
    assert spelling in macro.read_text()
