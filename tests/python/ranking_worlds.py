"""Graded documents, a production ranker and users who click: logs whose best order is known."""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flywheel.errors import FlywheelError

PAGE = 10
DAYS = 37
"""Of a log: a training window and an evaluation window."""
NOISE = 0.1
"""Chance of a click on an examined document of grade 0; on one of the highest grade it is 1."""


@dataclass(frozen=True)
class Graded:
    """Documents with grades; those of a query stand together.

    Attributes:
        matrix: float64, documents x features.
        grades: int64 per document, from 0 (bad).
        sizes: int64, documents per query.
    """

    matrix: np.ndarray
    grades: np.ndarray
    sizes: np.ndarray

    @property
    def bounds(self) -> np.ndarray:
        """First document of each query, and the number of documents."""
        return np.concatenate(([0], np.cumsum(self.sizes)))

    @property
    def query(self) -> np.ndarray:
        """Number of the query of each document."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def of_queries(self, queries: np.ndarray) -> "Graded":
        """The documents of some queries, in order of the queries' numbers."""
        chosen = np.sort(queries)
        rows = np.isin(self.query, chosen)
        return Graded(self.matrix[rows], self.grades[rows], self.sizes[chosen])

    def split(self, share: float, seed: int) -> tuple["Graded", "Graded"]:
        """Queries that users ask, and a share of them that nobody asks."""
        order = np.random.default_rng([seed, 0]).permutation(len(self.sizes))
        held_out = round(share * len(order))
        return self.of_queries(order[held_out:]), self.of_queries(order[:held_out])


def made_graded(seed: int = 0, queries: int = 250, features: int = 20) -> Graded:
    """Documents whose grade is a bent function of six features, and of what no feature tells."""
    rng = np.random.default_rng([seed, 9])
    sizes = rng.integers(10, 21, queries)
    matrix = rng.normal(size=(sizes.sum(), features))
    told = matrix[:, 0] + np.abs(matrix[:, 1]) + matrix[:, 2] * matrix[:, 3] - (matrix[:, 4] > 1)
    told += 0.5 * np.sin(3 * matrix[:, 5])
    quality = told + rng.normal(0, 0.7, len(told))
    grades = np.searchsorted(np.quantile(quality, [0.45, 0.7, 0.85, 0.95]), quality)
    return Graded(matrix, grades, sizes)


def read_graded(folder: Path) -> Graded:
    """All documents of a folder in the form of LightGBM's ranking example.

    Each file `NAME` or `NAME.gz` holds lines `grade index:value ...`; `NAME.query` beside it holds
    the number of documents of each query. What a line leaves out is 0.

    Raises:
        FlywheelError: there is no such pair of files, or they do not fit.
    """
    parts = []
    for counts in sorted(folder.glob("*.query")):
        stem = counts.with_suffix("")
        path = stem if stem.exists() else stem.with_name(f"{stem.name}.gz")
        try:
            content = path.read_bytes()
            text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
            lines = [line.split() for line in text.splitlines() if line.strip()]
            sizes = np.array([int(word) for word in counts.read_text().split()])
            grades = np.array([int(line[0]) for line in lines])
            cells = [
                (row, int(index), float(value))
                for row, line in enumerate(lines)
                for index, _, value in (cell.partition(":") for cell in line[1:])
            ]
        except (OSError, ValueError) as error:
            raise FlywheelError(
                f"{path} is not a ranking dataset in LibSVM form: {error}."
            ) from None
        if sizes.sum() != len(grades):
            raise FlywheelError(
                f"{counts} counts {sizes.sum()} documents and {path} holds {len(grades)}."
            )
        parts.append((cells, grades, sizes))
    if not parts:
        raise FlywheelError(
            f"{folder} holds no NAME.query beside a NAME or NAME.gz; name the folder of a ranking "
            "dataset in LibSVM form."
        )
    width = 1 + max(index for cells, _, _ in parts for _, index, _ in cells)
    matrices = []
    for cells, grades, _ in parts:
        rows, columns, values = zip(*cells, strict=True)
        matrix = np.zeros((len(grades), width))
        matrix[rows, columns] = values
        matrices.append(matrix)
    return Graded(
        np.vstack(matrices),
        np.concatenate([grades for _, grades, _ in parts]),
        np.concatenate([sizes for _, _, sizes in parts]),
    )


def true_ndcg(scores: np.ndarray, graded: Graded) -> float:
    """Mean NDCG@10, gains 2^grade - 1, over the queries that have a document above grade 0."""
    gains = 2.0**graded.grades - 1
    discounts = 1 / np.log2(np.arange(2, PAGE + 2))
    found = []
    for start, end in zip(graded.bounds[:-1], graded.bounds[1:], strict=True):
        ideal = np.sort(gains[start:end])[::-1][:PAGE]
        if ideal[0] == 0:
            continue
        shown = gains[start:end][np.argsort(-scores[start:end], kind="stable")][:PAGE]
        found.append(shown @ discounts[: len(shown)] / (ideal @ discounts[: len(ideal)]))
    return float(np.mean(found))


def fit_on_grades(graded: Graded, *, rounds: int, seed: int) -> lgb.Booster:
    """A ranker that knows what clicks only hint at."""
    options = {
        "objective": "lambdarank",
        "num_leaves": 15,
        "learning_rate": 0.1,
        "min_data_in_leaf": 5,
        "seed": seed,
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": 2,
        "verbosity": -1,
    }
    return lgb.train(options, lgb.Dataset(graded.matrix, graded.grades, group=graded.sizes), rounds)


@dataclass(frozen=True)
class Setting:
    """A log to simulate.

    Attributes:
        searches: how many.
        known_share: of the queries, whose grades the production ranker was trained on.
        mixing: deviation of the noise added to its scores in every search, in deviations of the
            scores; 0 shows a query one page.
        randomised_share: of searches, whose page is shuffled and flagged.
    """

    searches: int
    known_share: float
    mixing: float = 0.0
    randomised_share: float = 0.0


@dataclass(frozen=True)
class Log:
    """What was shown and clicked.

    Attributes:
        query: int64 per search.
        doc: int64, searches x `PAGE`, row of the document; -1 past the end of the page.
        clicked: bool, as `doc`.
        is_randomised: bool per search.
    """

    query: np.ndarray
    doc: np.ndarray
    clicked: np.ndarray
    is_randomised: np.ndarray


def simulate(graded: Graded, scores: np.ndarray, setting: Setting, seed: int) -> Log:
    """Searches for queries drawn evenly, by users who examine rank k with chance 1 / k."""
    rng = np.random.default_rng([seed, 2])
    query = rng.integers(0, len(graded.sizes), setting.searches)
    is_randomised = rng.random(setting.searches) < setting.randomised_share
    spread = scores.std() * setting.mixing
    doc = np.full((setting.searches, PAGE), -1)
    for row, (start, end) in enumerate(
        zip(graded.bounds[query], graded.bounds[query + 1], strict=True)
    ):
        noisy = scores[start:end] + spread * rng.gumbel(size=end - start)
        page = start + np.argsort(-noisy, kind="stable")[:PAGE]
        doc[row, : len(page)] = rng.permutation(page) if is_randomised[row] else page
    relevance = NOISE + (1 - NOISE) * (2.0**graded.grades - 1) / (2.0 ** graded.grades.max() - 1)
    examined = 1 / np.arange(1, PAGE + 1)
    clicked = (rng.random(doc.shape) < examined * relevance[doc]) & (doc >= 0)
    return Log(query, doc, clicked, is_randomised)


def write_log(log: Log, path: Path, seed: int) -> None:
    """The log as a flat Parquet file; every user searches about four times."""
    rng = np.random.default_rng([seed, 3])
    seconds = np.sort(rng.integers(0, DAYS * 86_400, len(log.query)))
    searched_at = np.datetime64("2026-01-01T00:00:00", "us") + seconds.astype("timedelta64[s]")
    rows, columns = np.nonzero(log.doc >= 0)
    table = {
        "search_id": [f"s{row}" for row in rows],
        "searched_at": searched_at[rows],
        "query": [f"query {query}" for query in log.query[rows]],
        "doc_id": [f"d{doc}" for doc in log.doc[rows, columns]],
        "rank": columns + 1,
        "clicked": log.clicked[rows, columns],
        "user_id": [f"u{row % max(1, len(log.query) // 4)}" for row in rows],
        "is_randomised": log.is_randomised[rows],
    }
    pq.write_table(pa.table(table), path)


def write_features(graded: Graded, path: Path) -> None:
    """The documents' features as a file of ranking features, by query and document."""
    table: dict[str, object] = {
        "query": [f"query {query}" for query in graded.query],
        "doc_id": [f"d{doc}" for doc in range(len(graded.grades))],
    }
    table |= {f"x{index:03d}": graded.matrix[:, index] for index in range(graded.matrix.shape[1])}
    pq.write_table(pa.table(table), path)


def matrix_for(graded: Graded, names: Sequence[str]) -> np.ndarray:
    """Rows for a model that reads `names`, of queries without a history: behaviour is missing."""
    matrix = np.full((len(graded.grades), len(names)), np.nan)
    for place, name in enumerate(names):
        if name.startswith("f_x"):
            matrix[:, place] = graded.matrix[:, int(name.removeprefix("f_x"))]
    return matrix


def fit_with_positions(log: Log, graded: Graded) -> list[lgb.Booster]:
    """LightGBM's own answer to the same log: whole pages, clicks as labels, `position` as it is.

    Returns:
        One that stops early on clicks of the last fifth of the searches, the best of three sizes
        by that; and one of 100 rounds of its default 31 leaves. Whoever compares may take the
        better one.
    """
    pages = np.flatnonzero(log.clicked.any(axis=1))
    cut = len(pages) * 4 // 5

    def dataset(chosen: np.ndarray, reference: lgb.Dataset | None = None) -> lgb.Dataset:
        rows, columns = np.nonzero(log.doc[chosen] >= 0)
        docs = log.doc[chosen][rows, columns]
        return lgb.Dataset(
            graded.matrix[docs].astype(np.float32),
            log.clicked[chosen][rows, columns].astype(int),
            group=np.bincount(rows),
            position=None if reference else columns,
            reference=reference,
        )

    common = {
        "objective": "lambdarank",
        "metric": "ndcg",
        "eval_at": [PAGE],
        "label_gain": [0, 1],
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": 2,
        "verbosity": -1,
    }
    stopped = []
    for leaves in (4, 7, 15):
        fit = dataset(pages[:cut])
        booster = lgb.train(
            common | {"num_leaves": leaves, "learning_rate": 0.08, "lambda_l2": 1.0},
            fit,
            400,
            valid_sets=[dataset(pages[cut:], fit)],
            callbacks=[lgb.early_stopping(50, verbose=False)],
        )
        stopped.append((booster.best_score["valid_0"][f"ndcg@{PAGE}"], -leaves, booster))
    return [max(stopped, key=lambda found: found[:2])[2], lgb.train(common, dataset(pages), 100)]
