"""Which recipe of the grid is taken.

Folds hold out a few thousand clicks, by which recipes hardly differ. So one of them is the simpler
one and is taken unless the other is ahead by more than errors would explain, as in the rule of one
standard error (Breiman et al. 1984; Hastie, Tibshirani & Friedman, section 7.10), except that
here the error is that of the paired difference: both recipes are measured on the same clicks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

FOLD_METRIC = "folds_ndcg_at_10"


@dataclass(frozen=True)
class Candidate:
    """A recipe of the grid.

    Attributes:
        num_leaves: of each tree.
        is_clipped: whether it fits with the clipped weights.
        rounds: trees with which it did best.
        ndcg: mean metric of the folds with so many trees; None where nothing was compared.
        error: of full weights, standard error of the metric less that of the same leaves with
            clipped weights; 0 where there is no such pair.
    """

    num_leaves: int
    is_clipped: bool
    rounds: int
    ndcg: float | None
    error: float = 0.0

    def as_metrics(self) -> dict[str, Any]:
        """As the registry keeps it."""
        return {
            "num_leaves": self.num_leaves,
            "is_clipped": self.is_clipped,
            "rounds": self.rounds,
            FOLD_METRIC: self.ndcg,
            "error": self.error,
        }


@dataclass(frozen=True)
class FoldCurve:
    """What the folds say of a recipe.

    Attributes:
        means: mean metric after each tree.
        gains: of each group held out, fold by fold, with the best number of trees.
        shares: of those groups in the mean metric; they sum to 1.
        queries: of those groups.
    """

    means: np.ndarray
    gains: np.ndarray
    shares: np.ndarray
    queries: np.ndarray

    @property
    def rounds(self) -> int:
        """Trees with which the mean is highest, the fewest among equals."""
        return int(np.argmax(self.means)) + 1

    @property
    def best(self) -> float:
        """The highest mean."""
        return float(self.means.max())


def paired_error(one: FoldCurve, other: FoldCurve) -> float:
    """Standard error of the difference of two best means.

    Groups of a query share documents and what is known of them, so queries count as the units. Of
    a single one nothing is known, and 1 is the most that the metric can differ by.
    """
    differences = one.gains - other.gains
    deviations = one.shares * (differences - one.shares @ differences)
    _, query = np.unique(one.queries, return_inverse=True)
    sums = np.bincount(query, deviations)
    n = len(sums)
    return float(np.sqrt(n / (n - 1) * (sums @ sums))) if n > 1 else 1.0


def best_of(candidates: Sequence[Candidate], errors_ahead: float) -> Candidate:
    """The candidate with the highest metric; among equals the smallest, and a clipped one.

    Args:
        candidates: recipes that were tried.
        errors_ahead: so many standard errors are taken off the metric of full weights first.
    """

    def worth(one: Candidate) -> tuple[float, int, bool]:
        return (one.ndcg or 0.0) - errors_ahead * one.error, -one.num_leaves, one.is_clipped

    return max(candidates, key=worth)
