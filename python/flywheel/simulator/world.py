"""A world whose truth is known: queries, documents, relevance, and how far down people look.

Everything an estimator has to guess is an array here, so that a test or a demo can compare the
guess with the truth. The click model is the position-based one (Richardson et al. 2007; Craswell
et al. 2008): a result is clicked when it is examined, which depends on its rank alone, and
attractive, which depends on the query and the document alone.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from flywheel.errors import FlywheelError
from flywheel.simulator.words import MODIFIERS, NOUNS

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MIN_FEATURES = 8
# Shares of grades 0..4 over all candidates; most of what an index offers is not relevant.
GRADE_QUANTILES = (0.52, 0.74, 0.87, 0.95)
ATTRACTION_FLOOR = 0.05
ATTRACTION_CEILING = 0.9


@dataclass(frozen=True)
class World:
    """Queries, candidates, truth and the production ranker; immutable once built.

    Attributes:
        seed: everything below follows from it and the sizes.
        n_queries: Q.
        docs_per_query: D, the candidates of each query.
        n_features: numeric ranking features `signal_01`, `signal_02`, ...; at least 8.
        n_users: human visitors.
        alpha: P(examined | rank) = rank ** -alpha.
        alpha_mobile: the same on mobile; None means as on desktop.
        trust_bias: in [0, 1): affine trust bias (Vardasbi et al. 2020). An examined result at rank
            k is clicked with gamma + (trust_bias / k) * (1 - gamma); 0 means none.
        attraction: factor of every result's attraction; below 1 people click less often.
        popularity_exponent: P(query i) is proportional to (i + 1) ** -popularity_exponent.
        residual_share: share of the variance of relevance that no feature shows.
        production_jitter: standard deviation of noise added to the production scores at every
            search, in units of their own; 0 means a fixed order for each query.
        queries: (Q,) normalised texts, the most popular first.
        topic: (Q,) number of the noun a query is about.
        popularity: (Q,) shares of the searches.
        doc_ids: (Q, D); a few documents are candidates of more than one query.
        features: (Q, D, F).
        relevance: (Q, D) in (0, 1), continuous.
        gamma: (Q, D) attraction in [0.05, 0.9] times `attraction`, noise clicks included.
        grade: (Q, D) 0 to 4, a function of relevance.
        learnable: (Q, D) the part of relevance that the features determine, on its own scale.
        production_scores: (Q, D), standardised.
        production_order: (Q, D) candidate numbers, best first.
    """

    seed: int = 7
    n_queries: int = 400
    docs_per_query: int = 25
    n_features: int = 12
    n_users: int = 3000
    alpha: float = 0.8
    alpha_mobile: float | None = None
    trust_bias: float = 0.0
    attraction: float = 1.0
    popularity_exponent: float = 0.8
    residual_share: float = 0.2
    production_jitter: float = 0.0
    queries: npt.NDArray[np.str_] = field(init=False, repr=False)
    topic: IntArray = field(init=False, repr=False)
    popularity: FloatArray = field(init=False, repr=False)
    doc_ids: npt.NDArray[np.str_] = field(init=False, repr=False)
    features: FloatArray = field(init=False, repr=False)
    relevance: FloatArray = field(init=False, repr=False)
    gamma: FloatArray = field(init=False, repr=False)
    grade: IntArray = field(init=False, repr=False)
    learnable: FloatArray = field(init=False, repr=False)
    production_scores: FloatArray = field(init=False, repr=False)
    production_order: IntArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Build the arrays."""
        self._check()
        rng = np.random.default_rng([self.seed, 1])
        self._build_queries(rng)
        documents = self._build_documents(rng)
        self._build_relevance(rng, documents)
        self._build_production(rng)
        for value in vars(self).values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False

    @property
    def feature_names(self) -> list[str]:
        """`signal_01`, `signal_02`, ..."""
        return [f"signal_{number:02d}" for number in range(1, self.n_features + 1)]

    def examination(self, max_rank: int, *, mobile: bool = False) -> FloatArray:
        """P(examined | rank) for ranks 1..max_rank."""
        alpha = self.alpha
        if mobile and self.alpha_mobile is not None:
            alpha = self.alpha_mobile
        return np.arange(1, max_rank + 1, dtype=np.float64) ** -alpha

    def true_propensities(self, max_rank: int = 10, *, mobile: bool = False) -> FloatArray:
        """Examination relative to rank 1, for ranks 1..max_rank: what estimators aim at."""
        examined = self.examination(max_rank, mobile=mobile)
        return examined / examined[0]

    def click_probability(
        self, gamma: FloatArray, mobile: npt.NDArray[np.bool_] | bool = False
    ) -> FloatArray:
        """Chance of a click on each shown result.

        Args:
            gamma: (..., K) attraction of the results in shown order.
            mobile: (...) whether the visitor is on a mobile device.
        """
        depth = gamma.shape[-1]
        trust = self.trust_bias / np.arange(1, depth + 1)
        seen = np.where(
            np.asarray(mobile)[..., None],
            self.examination(depth, mobile=True),
            self.examination(depth),
        )
        return seen * (gamma + trust * (1.0 - gamma))

    def order_of(self, scores: npt.ArrayLike) -> IntArray:
        """Candidate numbers, best first, for (Q, D) or (Q * D,) scores.

        Equal scores keep the production order, as a re-ranker behind production would.
        """
        scores = np.asarray(scores, dtype=np.float64).reshape(self.grade.shape)
        place = np.argsort(self.production_order, axis=1)
        return np.lexsort((place, -scores), axis=1)

    def ndcg_by_query(self, order: IntArray, k: int = 10) -> FloatArray:
        """(Q,) true nDCG@k with gain 2^grade - 1; NaN for a query without a relevant document."""
        gain = 2.0**self.grade - 1.0
        depth = min(k, self.docs_per_query)
        discount = 1.0 / np.log2(np.arange(2, depth + 2))
        found = np.take_along_axis(gain, np.asarray(order)[:, :depth], axis=1) @ discount
        ideal = -np.sort(-gain, axis=1)[:, :depth] @ discount
        return np.where(ideal > 0, found / np.where(ideal > 0, ideal, 1.0), np.nan)

    def true_ndcg(self, order: IntArray, k: int = 10) -> float:
        """True nDCG@k of a (Q, D) order, averaged over searches (queries by popularity)."""
        values = self.ndcg_by_query(order, k)
        known = ~np.isnan(values)
        return float(np.average(values[known], weights=self.popularity[known]))

    def expected_clicks(self, order: IntArray, k: int = 10) -> float:
        """Expected clicked results per search when (Q, D) `order` is shown on desktop."""
        shown = np.take_along_axis(self.gamma, np.asarray(order)[:, :k], axis=1)
        return float(self.popularity @ self.click_probability(shown).sum(axis=1))

    def features_table(self) -> pa.Table:
        """`query`, `doc_id`, `signal_01` ...: Q * D rows, candidates of a query together."""
        columns = {
            "query": pa.array(np.repeat(self.queries, self.docs_per_query)),
            "doc_id": pa.array(self.doc_ids.ravel()),
        }
        for number, name in enumerate(self.feature_names):
            columns[name] = pa.array(self.features[:, :, number].ravel())
        return pa.table(columns)

    def write_features(self, path: str | Path) -> Path:
        """Write `features_table` as Parquet: the `ranking_features` input."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(self.features_table(), path, compression="zstd")
        return path

    def truth_table(self) -> pa.Table:
        """`query`, `doc_id`, `grade`, `gamma`: the truth, never an input of the flywheel."""
        return pa.table(
            {
                "query": pa.array(np.repeat(self.queries, self.docs_per_query)),
                "doc_id": pa.array(self.doc_ids.ravel()),
                "grade": pa.array(self.grade.ravel(), pa.int32()),
                "gamma": pa.array(self.gamma.ravel()),
            }
        )

    def _check(self) -> None:
        most = len(NOUNS) * (len(MODIFIERS) + 1)
        limits = {
            "n_queries": (1, most),
            "docs_per_query": (2, 1000),
            "n_features": (MIN_FEATURES, 99),
            "n_users": (1, 10_000_000),
            "alpha": (0.0, 5.0),
            "trust_bias": (0.0, 0.99),
            "attraction": (0.01, 1.0),
            "residual_share": (0.0, 0.99),
            "production_jitter": (0.0, 100.0),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise FlywheelError(
                    f"The simulated world's {name} is {value}; choose {low} to {high}."
                )

    def _set(self, **arrays: np.ndarray) -> None:
        for name, value in arrays.items():
            object.__setattr__(self, name, value)

    def _build_queries(self, rng: np.random.Generator) -> None:
        # Modifier number 0 is none, so that bare nouns are queries too.
        pairs = rng.permutation(len(NOUNS) * (len(MODIFIERS) + 1))[: self.n_queries]
        noun, modifier = pairs % len(NOUNS), pairs // len(NOUNS)
        words = ["", *(f"{word} " for word in MODIFIERS)]
        texts = [words[m] + NOUNS[n] for n, m in zip(noun, modifier, strict=True)]
        weight = np.arange(1, self.n_queries + 1, dtype=np.float64) ** -self.popularity_exponent
        self._set(queries=np.array(texts), topic=noun, popularity=weight / weight.sum())

    def _build_documents(self, rng: np.random.Generator) -> IntArray:
        """(Q, D) document numbers; the last tenth of each row is borrowed from other queries."""
        own = np.arange(self.n_queries * self.docs_per_query).reshape(self.n_queries, -1)
        borrowed = min(self.docs_per_query // 10, self.n_queries - 1)
        for query in range(self.n_queries if borrowed else 0):
            lenders = rng.permutation(self.n_queries - 1)[:borrowed]
            lenders += lenders >= query
            slots = rng.integers(0, self.docs_per_query - borrowed, borrowed)
            own[query, -borrowed:] = lenders * self.docs_per_query + slots
        names = rng.permutation(own.max() + 1) + 10_000
        self._set(doc_ids=np.char.add("doc-", names[own].astype(str)))
        return own

    def _build_relevance(self, rng: np.random.Generator, documents: IntArray) -> None:
        shape = documents.shape
        x = rng.normal(size=(*shape, self.n_features))
        for of_document in (2, 3, 6):  # quality, age, fame: the same in every query
            x[:, :, of_document] = rng.normal(size=documents.max() + 1)[documents]
        x = np.round(x, 4)
        shown = (
            1.1 * np.tanh(1.5 * x[:, :, 0])  # match: saturates
            + 0.9 * np.maximum(x[:, :, 1], 0.0)  # title match: only helps when present
            + 0.7 * x[:, :, 2]  # quality: linear
            - 0.5 * (x[:, :, 3] ** 2 - 1.0)  # age: neither too new nor too old
            + 0.9 * np.sign(x[:, :, 4]) * x[:, :, 5]  # neither shows anything alone
        )
        shown = (shown - shown.mean()) / shown.std()
        residual = (
            rng.normal(size=documents.max() + 1)[documents] + rng.normal(size=shape)
        ) / np.sqrt(2.0)
        latent = (
            np.sqrt(1.0 - self.residual_share) * shown + np.sqrt(self.residual_share) * residual
        )
        place = latent.ravel().argsort(kind="stable").argsort(kind="stable")
        relevance = ((place + 0.5) / latent.size).reshape(shape)
        span = ATTRACTION_CEILING - ATTRACTION_FLOOR
        self._set(
            features=x,
            learnable=shown,
            relevance=relevance,
            gamma=self.attraction * (ATTRACTION_FLOOR + span * relevance**4),
            grade=np.searchsorted(GRADE_QUANTILES, relevance).astype(np.int64),
        )

    def _build_production(self, rng: np.random.Generator) -> None:
        # Fame (feature 7) says nothing about relevance: the hand-made ranker believes it does.
        x = self.features
        scores = 0.5 * x[:, :, 0] + 0.45 * x[:, :, 2] + 0.4 * x[:, :, 6]
        scores += 0.4 * rng.normal(size=scores.shape)
        scores = (scores - scores.mean()) / scores.std()
        self._set(
            production_scores=scores,
            production_order=np.argsort(-scores, axis=1, kind="stable"),
        )
