"""What one batch of simulated searches is made of, before the batches of a day are merged."""

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]

DAY_MS = 86_400_000
CLICK, PAGE_EXIT = 0, 1


@dataclass(frozen=True)
class Events:
    """E events of a batch; columns as the `event_` ones of `DayTraffic`, times from midnight."""

    search: IntArray
    at: IntArray
    kind: IntArray
    rank: IntArray
    dwell: IntArray

    @staticmethod
    def none() -> "Events":
        """No event at all."""
        return Events(*(np.empty(0, np.int64) for _ in fields(Events)))

    @staticmethod
    def of_clicks(
        row: IntArray, at: IntArray, rank: IntArray, dwell: IntArray, leaves: npt.NDArray[np.bool_]
    ) -> "Events":
        """Clicks, and after those that are left on record their page exits.

        Args:
            row: (C,) position of each click's search in the batch.
            at: (C,) milliseconds.
            rank: (C,) 1-based.
            dwell: (C,) milliseconds.
            leaves: (C,) whether the exit is logged.
        """
        return Events(
            search=np.concatenate([row, row[leaves]]),
            at=np.concatenate([at, (at + dwell)[leaves]]),
            kind=np.repeat([CLICK, PAGE_EXIT], [len(row), int(leaves.sum())]),
            rank=np.concatenate([rank, rank[leaves]]),
            dwell=np.concatenate([np.zeros(len(row), np.int64), dwell[leaves]]),
        )


@dataclass(frozen=True)
class Round:
    """Searches (columns of `DayTraffic`, times from midnight) and their events."""

    page: dict[str, np.ndarray]
    events: Events

    def moved(self, start: IntArray) -> "Round":
        """The same, with each session's start added to its times."""
        shift = start[self.page["session"]]
        page = {**self.page, "searched_at": self.page["searched_at"] + shift}
        return Round(page, replace(self.events, at=self.events.at + shift[self.events.search]))


def results_shown(page: dict[str, np.ndarray]) -> IntArray:
    """(S, K + W) candidate numbers of all shown results in order of rank; -1: nothing there."""
    return np.concatenate([page["shown"], page["deeper"]], axis=1)


def n_days_today(day: int, expected: float, phase: float) -> int:
    """Visits of this day when `expected` come a day.

    Rounding that is exact in the long run and needs no memory of the days before.

    Args:
        day: number of the date.
        expected: visits a day, any real number.
        phase: in [0, 1); another one for each kind, so that they do not all come at once.
    """
    return int(np.floor((day + 1) * expected + phase) - np.floor(day * expected + phase))
