"""Simulated traffic as files: UBI NDJSON, a day a file, or one flat Parquet log."""

import datetime as dt
import gzip
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flywheel.errors import FlywheelError
from flywheel.serving import Deployment
from flywheel.simulator.traffic import (
    CLICK,
    DEFAULT_START,
    TEXT_STYLES,
    DayTraffic,
    Plan,
    simulate_days,
)
from flywheel.simulator.visitors import EMPTY, SAME_AS_CLIENT, visitors_of
from flywheel.simulator.world import World

APPLICATION = "shop"
FLAT_REQUIRED = ("search_id", "searched_at", "query", "doc_id", "rank", "clicked")
FLAT_OPTIONAL = (
    "user_id",
    "session_id",
    "clicked_at",
    "dwell_seconds",
    "user_agent",
    "ip",
    "device",
    "variant",
    "model_version",
    "is_randomised",
    "rank_before_swap",
    "logging_propensity",
    "grade",
)


@dataclass(frozen=True)
class Simulation:
    """What a simulation wrote.

    Attributes:
        folder: of the log files.
        files: every file, in order of time.
        truth: who was a robot; Parquet of `Visitors.table`. Never inside `folder`.
        n_searches: searches of humans and robots.
        n_human_searches: searches of humans.
        n_clicks: click events of humans and robots.
        n_human_clicks: click events of humans.
    """

    folder: Path
    files: tuple[Path, ...]
    truth: Path
    n_searches: int
    n_human_searches: int
    n_clicks: int
    n_human_clicks: int


def simulate(
    world: World,
    deployment: Deployment | None = None,
    *,
    out_dir: str | Path,
    days: int,
    start_date: dt.date | str = DEFAULT_START,
    searches_per_day: int = 1500,
    seed: int = 1,
    randomised_share: float = 0.05,
    bot_share: float = 0.07,
    hard_share: float = 0.02,
    compress: bool = False,
    truth_dir: str | Path | None = None,
    on_day: Callable[[dt.date], None] | None = None,
) -> Simulation:
    """Simulate days of traffic and write them as UBI NDJSON.

    Writes `ubi_queries_YYYY-MM-DD.ndjson` and `ubi_events_YYYY-MM-DD.ndjson` (with `.gz` when
    compressed). The same arguments give the same bytes, and a day's bytes do not depend on the
    days simulated with it.

    Args:
        world: the truth.
        deployment: who is served by what; None means production for everybody.
        out_dir: the log folder; made when missing, files of the same days are replaced.
        days: number of days.
        start_date: first day, a date or its ISO text.
        searches_per_day: expected searches of humans; robots come on top.
        seed: of the traffic.
        randomised_share: share of searches whose page is shuffled uniformly, and flagged.
        bot_share: share of robots among all searches, in the long run.
        hard_share: share of the humans' searches on the big days of power users and re-finders.
        compress: write gzip files.
        truth_dir: where `visitors.parquet` goes; by default `truth` beside the log folder.
        on_day: called after each day, for a progress bar.

    Raises:
        FlywheelError: an argument is out of its range, or the folder cannot be written.
    """
    plan = Plan(world, deployment, searches_per_day, seed, randomised_share, bot_share, hard_share)
    folder = Path(out_dir)
    truth = Path(truth_dir) if truth_dir is not None else folder.parent / "truth"
    is_bot = visitors_of(world).kind > 0
    files: list[Path] = []
    counts = np.zeros(4, dtype=np.int64)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        truth_file = write_truth(world, truth)
        lines = _Lines(plan)
        for day in simulate_days(plan, _as_date(start_date), days):
            for name, content in (
                (f"ubi_queries_{day.date}.ndjson", lines.queries(day)),
                (f"ubi_events_{day.date}.ndjson", lines.events(day)),
            ):
                files.append(_write(folder / name, content, compress))
            robot = is_bot[day.visitor]
            click_by_robot = robot[day.event_search[day.event_kind == CLICK]]
            counts += [len(robot), (~robot).sum(), len(click_by_robot), (~click_by_robot).sum()]
            if on_day is not None:
                on_day(day.date)
    except OSError as error:
        raise FlywheelError(
            f"The simulated log cannot be written to {folder} ({error.strerror}); "
            "choose another folder."
        ) from error
    return Simulation(folder, tuple(files), truth_file, *counts.tolist())


def to_flat(
    world: World,
    deployment: Deployment | None = None,
    *,
    output: str | Path,
    days: int,
    start_date: dt.date | str = DEFAULT_START,
    searches_per_day: int = 1500,
    seed: int = 1,
    randomised_share: float = 0.05,
    bot_share: float = 0.07,
    hard_share: float = 0.02,
    columns: Iterable[str] = FLAT_OPTIONAL,
) -> Path:
    """Write the traffic that `simulate` writes, as one flat Parquet log: a row per result shown.

    Args:
        world: as in `simulate`.
        deployment: as in `simulate`.
        output: the Parquet file.
        days: as in `simulate`.
        start_date: as in `simulate`.
        searches_per_day: as in `simulate`.
        seed: as in `simulate`.
        randomised_share: as in `simulate`.
        bot_share: as in `simulate`.
        hard_share: as in `simulate`.
        columns: optional columns to write beside `FLAT_REQUIRED`; a subset of `FLAT_OPTIONAL`.
            `logging_propensity` is the chance that the result stands at its rank, known on
            randomised pages; `grade` is the true one.

    Raises:
        FlywheelError: a column is unknown, or an argument is out of its range.
    """
    wanted = list(columns)
    unknown = [name for name in wanted if name not in FLAT_OPTIONAL]
    if unknown:
        raise FlywheelError(
            f"The flat log has no column {', '.join(unknown)}; choose from "
            f"{', '.join(FLAT_OPTIONAL)}."
        )
    plan = Plan(world, deployment, searches_per_day, seed, randomised_share, bot_share, hard_share)
    lines = _Lines(plan)
    parts = [lines.flat(day) for day in simulate_days(plan, _as_date(start_date), days)]
    path = Path(output)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.concat_tables(parts).select([*FLAT_REQUIRED, *wanted]), path)
    return path


def write_truth(world: World, folder: str | Path) -> Path:
    """Write `visitors.parquet`: every visitor of the world, and which of them are robots."""
    path = Path(folder) / "visitors.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(visitors_of(world).table(), path)
    return path


def ubi_lines(plan: Plan, start_date: dt.date, days: int) -> tuple[str, str]:
    """The query lines and the event lines of consecutive days, each as one text."""
    lines = _Lines(plan)
    queries, events = [], []
    for day in simulate_days(plan, start_date, days):
        queries.append(lines.queries(day))
        events.append(lines.events(day))
    return "".join(queries), "".join(events)


class _Lines:
    """Formats days; holds the JSON of everything that repeats."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.world = plan.world
        self.visitors = visitors_of(plan.world)
        self.texts = np.array([_styles(query) for query in self.world.queries.tolist()])
        quote = np.vectorize(json.dumps, otypes=[object])
        self.text_json = quote(self.texts)
        self.doc_json = quote(self.world.doc_ids)
        self.device = np.where(self.visitors.mobile, "mobile", "desktop")
        deployment = plan.deployment
        self.versions = None if deployment is None else _versions(deployment)
        self.has_canary = deployment is not None and deployment.canary is not None
        self.attributes = [
            f'"user_agent":{json.dumps(agent)},"device":"{device}","ip":"{address}"'
            for agent, device, address in zip(
                self.visitors.user_agent, self.device.tolist(), self.visitors.address, strict=True
            )
        ]
        self.identity = [
            f'"client_id":"{client}"'
            + (f',"user_id":"{client}"' if style == SAME_AS_CLIENT else "")
            + (',"user_id":""' if style == EMPTY else "")
            for client, style in zip(
                self.visitors.client_id.tolist(), self.visitors.user_id_style.tolist(), strict=True
            )
        ]

    def queries(self, day: DayTraffic) -> str:
        """One line a search."""
        shown = _shown(day)
        hits = np.where(shown >= 0, self.doc_json[day.query[:, None], shown], None).tolist()
        served = self._served()
        clients = self.visitors.client_id
        rows = zip(
            _search_ids(day),
            clients[day.visitor].tolist(),
            self.text_json[day.query, day.style].tolist(),
            _timestamps(day.searched_at),
            hits,
            day.visitor.tolist(),
            [served[arm] for arm in day.canary.tolist()],
            day.is_randomised.tolist(),
            strict=True,
        )
        return "".join(
            f'{{"application":"{APPLICATION}","query_id":"{search}","client_id":"{client}",'
            f'"user_query":{text},"object_id_field":"doc_id","timestamp":"{at}",'
            f'"query_response_hit_ids":[{",".join(i for i in ids if i)}],"query_attributes":{{'
            f'{self.attributes[visitor]}{arm},"is_randomised":{"true" if mixed else "false"}}}}}\n'
            for search, client, text, at, ids, visitor, arm, mixed in rows
        )

    def events(self, day: DayTraffic) -> str:
        """One line a click or page exit."""
        searches, sessions = _search_ids(day), _session_ids(day)
        documents = self.doc_json[
            day.query[day.event_search], _shown(day)[day.event_search, day.event_rank - 1]
        ]
        tails = [
            "" if kind == CLICK else f',"dwell_time":{dwell}'
            for kind, dwell in zip(
                day.event_kind.tolist(), (day.event_dwell / 1000).tolist(), strict=True
            )
        ]
        rows = zip(
            day.event_search.tolist(),
            day.visitor[day.event_search].tolist(),
            _timestamps(day.event_at),
            day.event_kind.tolist(),
            day.event_rank.tolist(),
            tails,
            documents.tolist(),
            strict=True,
        )
        return "".join(
            f'{{"application":"{APPLICATION}",'
            f'"action_name":"{"click" if kind == CLICK else "page_exit"}",'
            f'"query_id":"{searches[search]}","session_id":"{sessions[search]}",'
            f'{self.identity[visitor]},"timestamp":"{at}","event_attributes":{{'
            f'"object":{{"object_id":{document},"object_id_field":"doc_id"}},'
            f'"position":{{"ordinal":{rank}}}'
            f"{tail}}}}}\n"
            for search, visitor, at, kind, rank, tail, document in rows
        )

    def flat(self, day: DayTraffic) -> pa.Table:
        """One row a result shown, every optional column."""
        shown = _shown(day)
        is_row = (shown >= 0).ravel()
        depth = shown.shape[1]

        def per_row(values: npt.ArrayLike) -> np.ndarray:
            return np.repeat(np.asarray(values), depth)[is_row]

        def of_cells(values: np.ndarray) -> np.ndarray:
            return values.ravel()[is_row]

        clicked_at = np.full(shown.shape, np.iinfo(np.int64).max)
        is_click = day.event_kind == CLICK
        cell = (day.event_search, day.event_rank - 1)
        np.minimum.at(clicked_at, tuple(a[is_click] for a in cell), day.event_at[is_click])
        clicked_at = of_cells(clicked_at)
        clicked = clicked_at < np.iinfo(np.int64).max
        dwell = np.full(shown.shape, np.nan)
        dwell[tuple(a[~is_click] for a in cell)] = day.event_dwell[~is_click] / 1000
        dwell = of_cells(dwell)
        before = np.zeros(shown.shape, dtype=np.int64)
        before[:, : day.before.shape[1]] = day.before
        mixed = per_row(day.is_randomised)
        agents = pa.array(self.visitors.user_agent, pa.string())
        nothing = pa.nulls(mixed.size, pa.string())
        variant = version = nothing
        if self.versions is not None:
            version = pa.array(per_row(np.array(self.versions)[day.canary.astype(int)]))
        if self.has_canary:
            variant = pa.array(per_row(np.where(day.canary, "canary", "champion")))
        who = per_row(day.visitor)
        rank = of_cells(np.tile(np.arange(1, depth + 1), (len(day.query), 1)))
        chance = np.full(mixed.size, 1.0 / day.shown.shape[1])
        milliseconds = pa.timestamp("ms")
        return pa.table(
            {
                "search_id": pa.array(per_row(_search_ids(day))),
                "searched_at": pa.array(per_row(day.searched_at)).cast(milliseconds),
                "query": pa.array(per_row(self.texts[day.query, day.style])),
                "doc_id": pa.array(of_cells(self.world.doc_ids[day.query[:, None], shown])),
                "rank": pa.array(rank, pa.int32()),
                "clicked": pa.array(clicked.astype(np.int32)),
                "user_id": pa.array(self.visitors.client_id[who]),
                "session_id": pa.array(per_row(_session_ids(day))),
                "clicked_at": pa.array(clicked_at, mask=~clicked).cast(milliseconds),
                "dwell_seconds": pa.array(dwell, mask=np.isnan(dwell)),
                "user_agent": pc.take(agents, pa.array(who)),
                "ip": pc.take(pa.array(self.visitors.address), pa.array(who)),
                "device": pa.array(self.device[who]),
                "variant": variant,
                "model_version": version,
                "is_randomised": pa.array(mixed),
                "rank_before_swap": pa.array(of_cells(before), pa.int32(), mask=~mixed),
                "logging_propensity": pa.array(chance, mask=~mixed),
                "grade": pa.array(
                    of_cells(self.world.grade[day.query[:, None], shown]).astype(np.float64)
                ),
            }
        )

    def _served(self) -> list[str]:
        """The JSON that names the arm, for the champion and the canary."""
        if self.versions is None:
            return ["", ""]
        return [
            (f',"variant":"{variant}"' if self.has_canary else "")
            + f',"model_version":{json.dumps(version)}'
            for variant, version in zip(("champion", "canary"), self.versions, strict=True)
        ]


def _versions(deployment: Deployment) -> list[str]:
    canary = deployment.canary or deployment.champion
    return [deployment.champion.model_version, canary.model_version]


def _styles(query: str) -> list[str]:
    typed = {
        "plain": query,
        "title": query.title(),
        "upper": query.upper(),
        "trailing": f"{query} ",
        "doubled": f" {query.replace(' ', '  ')}",
    }
    return [typed[style] for style in TEXT_STYLES]


def _shown(day: DayTraffic) -> npt.NDArray[np.int64]:
    """(S, K + W) candidate numbers of all shown results; -1 where there is none."""
    return np.concatenate([day.shown, day.deeper], axis=1)


def _search_ids(day: DayTraffic) -> list[str]:
    return [f"{a:016x}{b:016x}" for a, b in day.search_key.tolist()]


def _session_ids(day: DayTraffic) -> list[str]:
    return [f"{day.date:%Y%m%d}-{session & 0xFFFFFF:06x}" for session in day.session.tolist()]


def _timestamps(milliseconds: npt.NDArray[np.int64]) -> list[str]:
    text = np.datetime_as_string(milliseconds.astype("datetime64[ms]"), unit="ms")
    return np.char.add(text, "Z").tolist()


def _as_date(value: dt.date | str) -> dt.date:
    if isinstance(value, dt.date):
        return value
    try:
        return dt.date.fromisoformat(value)
    except ValueError as error:
        raise FlywheelError(f"{value!r} is not a date; write it as 2026-01-05.") from error


def _write(path: Path, content: str, compress: bool) -> Path:
    zipped = path.with_name(f"{path.name}.gz")
    # The other spelling of the same day would be read a second time.
    (path if compress else zipped).unlink(missing_ok=True)
    target = zipped if compress else path
    data = content.encode()
    target.write_bytes(gzip_bytes(data) if compress else data)
    return target


def gzip_bytes(data: bytes) -> bytes:
    """Compress without a time stamp, so that the same text gives the same bytes."""
    return gzip.compress(data, compresslevel=9, mtime=0)
