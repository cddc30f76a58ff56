"""The larger case: a simulated shop with the disorders of a real log, built by dbt itself."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

import duckdb

from conftest import Flywheel
from equivalence.builders import BuildError, Dbt, release
from equivalence.cases import Tally, collect, public_tables, settled
from equivalence.comparison import Tables, compare, read_tables
from equivalence.files import Delivery, Row, by_arrival, deliver, empty
from equivalence.schedules import ONE_FILE, SCHEDULES, Schedule, Step, one_file
from flywheel.simulator import World, simulate
from killing import Process

FIRST_DAY = date(2026, 2, 26)
DAYS = 8
FILE_HOURS = 6
CASE = "simulated shop"
VARIABLES: dict[str, Any] = {"log_format": "ubi", "min_evaluation_clicks": 20}


def some_models_first(files: Sequence[Delivery], _: Random) -> list[Step]:
    """Now and then only a part of the models is built; what it left must not be lost."""
    third = len(files) // 3
    return [
        Step(tuple(files[:third])),
        Step(tuple(files[third : 2 * third]), select=("+fct_searches",)),
        Step(tuple(files[2 * third :]), select=("+int_log_events",)),
        Step(select=("fct_sessions",)),
        Step(),
    ]


LARGE_SCHEDULES: dict[str, Schedule] = {
    **{
        name: SCHEDULES[name]
        for name in (
            "daily",
            "shuffled",
            "killed and resumed",
            "days added last",
            "backfill vars",
            "files that grow",
        )
    },
    "some models first": some_models_first,
}


class LargeCase:
    """One log of some 25,000 impressions.

    Args:
        scratch: folder to work in.
        allow_last_bits: let doubles differ by their last bits.
        seed: of the disorders and the schedules.
    """

    def __init__(self, scratch: Path, *, allow_last_bits: bool = False, seed: int = 0) -> None:
        self.scratch = scratch
        self.allow_last_bits = allow_last_bits
        self.seed = seed
        self.folder = scratch / "log"
        world = World(seed=5, n_queries=60, docs_per_query=15, n_users=400, n_features=8)
        scratch.mkdir(parents=True, exist_ok=True)
        features = world.write_features(scratch / "ranking_features.parquet")
        self.files = _files(world, scratch / "simulated", Random(seed))
        self.groups = public_tables()
        self.dbt = Dbt(
            scratch / "dbt", self.folder, VARIABLES | {"ranking_features": str(features)}
        )
        self._rebuilt: Tables | None = None

    def rebuild(self) -> Tables:
        """Public tables after one full refresh over the files."""
        if self._rebuilt is None:
            self._rebuilt = self._build([Step(tuple(self.files), full_refresh=True)], "rebuilt")
        return self._rebuilt

    def prove(self, schedule: str) -> Tally:
        """Build the log by a schedule and compare every public table."""
        tally = Tally(CASE, schedule)

        def holds() -> None:
            chance = Random(f"{self.seed} {schedule}")
            if schedule == ONE_FILE:
                steps = one_file(self.files)
            else:
                steps = settled(LARGE_SCHEDULES[schedule](self.files, chance), self.files)
            tables = self._build(steps, re.sub(r"\W+", "_", schedule))
            found = compare(
                tables, self.rebuild(), self.groups, layouts_differ=schedule == ONE_FILE
            )
            tally.take(found, len(steps), allow_last_bits=self.allow_last_bits)

        collect(tally, holds)
        return tally

    def _build(self, steps: Sequence[Step], name: str) -> Tables:
        home = self.scratch / name
        shutil.rmtree(home, ignore_errors=True)
        flywheel = Flywheel(home)
        empty(self.folder)
        self.dbt.seed(flywheel.database)
        for number, step in enumerate(steps):
            deliver(self.folder, step.deliveries)
            if step.killed_at is None:
                self.dbt.run(flywheel.database, step)
            else:
                self._kill(flywheel, step, home / f"killed-{number}.txt")
        release()
        with duckdb.connect(str(flywheel.database), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            tables = read_tables(connection, self.groups)
        flywheel.database.unlink()
        return tables

    def _kill(self, flywheel: Flywheel, step: Step, output: Path) -> None:
        """SIGKILL a run of dbt when it starts on the model of the given place."""
        release()
        command = ["-c", "from dbt.cli.main import cli; cli()", "run", "--no-use-colors"]
        command += ["--project-dir", str(self.dbt.project), "--vars"]
        command.append(json.dumps(self.dbt.variables))
        process = Process(flywheel, command, output)

        def far_enough(process: Process) -> bool:
            starts = re.findall(r"(\d+) of (\d+) START", process.said)
            return bool(starts) and int(starts[-1][0]) > step.killed_at * int(starts[-1][1])

        if not process.kill_when(far_enough, delay=0.05 * step.killed_at):
            raise BuildError(f"The run ended before it was killed: {process.said[-2000:]}")


def _files(world: World, folder: Path, chance: Random) -> tuple[Delivery, ...]:
    shutil.rmtree(folder, ignore_errors=True)
    log = simulate(
        world,
        out_dir=folder,
        days=DAYS,
        start_date=FIRST_DAY,
        searches_per_day=280,
        seed=11,
        randomised_share=0.1,
    )
    rows: list[tuple[datetime, Row]] = []
    for path in log.files:
        for line in path.read_text().splitlines():
            for at, row in _disordered(json.loads(line), chance):
                rows.append((at + _delay(chance), row))
                if chance.random() < 0.02:
                    rows.append((at + _delay(chance), row))
    return by_arrival(rows, hours=FILE_HOURS)


def _delay(chance: Random) -> timedelta:
    """Most rows come at once, some within the day, a few up to a week late."""
    lot = chance.random()
    if lot < 0.85:
        return timedelta(0)
    return timedelta(hours=chance.uniform(0, 24 if lot < 0.96 else 168))


def _disordered(document: dict[str, Any], chance: Random) -> Iterator[tuple[datetime, Row]]:
    """A document of the simulator as a real source might send it, and what it sends with it."""
    at = datetime.fromisoformat(document["timestamp"].removesuffix("Z"))
    client = document["client_id"]
    who = int(hashlib.md5(client.encode()).hexdigest()[:8], 16)
    is_mobile = who % 6 == 0
    if is_mobile:
        # Counts from 0; and from the sixth day on it says what came into view, so that the way
        # its ranks and impressions are read may change long after the rows were loaded.
        document["application"] = "mobile"
        position = document.get("event_attributes", {}).get("position")
        if position:
            position["ordinal"] -= 1
    if "user_query" in document:
        attributes = document["query_attributes"]
        canary = who % 10 < 3
        attributes["model_version"] = "ranker-2" if canary else "ranker-1"
        attributes["variant"] = "canary" if canary else "champion"
        if who % 31 == 0:
            del attributes["user_agent"]
        if is_mobile and at.date() >= FIRST_DAY + timedelta(days=5):
            for place, doc in enumerate(document["query_response_hit_ids"][:4]):
                yield (
                    at,
                    {
                        "application": "mobile",
                        "action_name": "impression",
                        "query_id": document["query_id"],
                        "client_id": client,
                        "timestamp": (at + timedelta(seconds=1)).isoformat() + "Z",
                        "event_attributes": {
                            "object": {"object_id": doc},
                            "position": {"ordinal": place},
                        },
                    },
                )
        lot = chance.random()
        if lot < 0.02:  # a search at every keystroke
            typed = document | {"user_query": document["user_query"].strip()[:4]}
            yield at, typed | {"timestamp": (at - timedelta(seconds=1)).isoformat() + "Z"}
        elif lot < 0.04:  # comes back after exactly the session's timeout
            again = document | {"query_id": document["query_id"] + "-again"}
            later = at + timedelta(minutes=30)
            yield later, again | {"timestamp": later.isoformat(timespec="milliseconds") + "Z"}
        elif lot < 0.05:  # two searches at one moment
            yield at, document | {"query_id": document["query_id"] + "-tie"}
        elif lot < 0.06:  # a clock that runs years ahead
            yield at, document | {"query_id": "ahead", "timestamp": "2035-01-01T00:00:00Z"}
        elif lot < 0.07:  # only its events will say that this search was made
            yield (
                at,
                {
                    "action_name": "search",
                    "application": document["application"],
                    "query_id": document["query_id"],
                    "client_id": client,
                    "user_query": document["user_query"],
                    "timestamp": document["timestamp"],
                },
            )
            return
        elif lot < 0.075:
            yield at, json.dumps(document)[: chance.randint(5, 200)]
        elif lot < 0.08:
            document.pop("client_id")
    yield at, document


def report_time(case: LargeCase) -> dict[str, float]:
    """Seconds of one `dbt run` in this process with nothing new, of all models and of a part."""
    database = case.scratch / "timed" / "warehouse.duckdb"
    empty(case.folder)
    deliver(case.folder, case.files)
    case.dbt.seed(database)
    found = {}
    for name, step in (
        ("everything, first", Step()),
        ("everything, nothing new", Step()),
        ("behavior, nothing new", Step(select=("+path:models/marts/behavior",))),
    ):
        started = perf_counter()
        case.dbt.run(database, step)
        found[name] = round(perf_counter() - started, 1)
    release()
    return found
