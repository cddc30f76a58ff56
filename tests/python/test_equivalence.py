"""A warehouse built piece by piece equals a rebuild: the reduced proof.

`make test-equivalence` is the whole one (docs/equivalence.md).
"""

import itertools
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from equivalence import events
from equivalence.cases import SmallLogs, example_log, public_tables
from equivalence.comparison import compare
from equivalence.files import Delivery, deliver, empty
from equivalence.schedules import ONE_FILE, SCHEDULES, Step

FORMATS = ("flat", "ubi")
EXAMPLES = 3


@pytest.fixture(scope="module", params=FORMATS)
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SmallLogs:
    logs = SmallLogs(request.param, tmp_path_factory.mktemp(request.param))
    logs.record(("backfill",) if request.param == "ubi" else ())
    return logs


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["killed and resumed", "shuffled", "files rewritten"])
def test_small_logs_equal_their_rebuild(small: SmallLogs, schedule: str) -> None:
    tally = small.prove(schedule, EXAMPLES)
    assert not tally.error, tally.error
    assert not tally.wrong, "\n".join([tally.failing, *(d.sentence() for d in tally.wrong)])
    assert tally.n_cases == EXAMPLES
    assert tally.n_rows["behavior"] > 0


@pytest.mark.slow
def test_a_replayed_run_is_what_dbt_does(small: SmallLogs) -> None:
    files = small.files(example_log(small.log_format))
    steps = SCHEDULES["random batches"](files, Random(1))
    assert len(steps) > 1
    empty(small.folder)
    database = small.dbt.scratch / "real" / "memory.duckdb"
    small.dbt.seed(database)
    for step in steps:
        deliver(small.folder, step.deliveries)
        small.dbt.run(database, step)
    real = small.read(database)
    found = compare(small.build(steps), real, small.groups)
    assert not found.differences, [d.sentence() for d in found.differences]
    assert real["fct_impressions"].num_rows > 0


@pytest.mark.slow
def test_a_missing_file_is_noticed(small: SmallLogs) -> None:
    """The comparison fails when it should: the rebuild knows a file that the other never saw."""
    files = small.files(example_log(small.log_format))
    found = compare(small.build([Step(files[:-1])]), small.rebuild(files), small.groups)
    assert {d.table for d in found.differences} >= {"fct_input_reconciliation"}


FILES = tuple(
    Delivery(f"{n}.ndjson", (f"row {n} a", f"row {n} b"), datetime(2026, 3, 1 + n))
    for n in range(6)
)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("n_files", [1, 2, 6])
@pytest.mark.parametrize("seed", range(5))
def test_every_schedule_ends_with_every_file_as_it_is(name: str, n_files: int, seed: int) -> None:
    files = FILES[:n_files]
    steps = SCHEDULES[name](files, Random(seed))
    stands = {d.name: d for step in steps for d in step.deliveries}
    assert stands == {d.name: d for d in files}
    assert steps[0].deliveries
    assert not steps[0].killed_at
    assert steps[-1].killed_at is None


def test_the_logs_hold_what_makes_logs_awkward() -> None:
    seen: Counter[str] = Counter()

    # A slow machine is no fault of the strategies.
    @settings(
        max_examples=60,
        database=None,
        derandomize=True,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(events.ubi_logs)
    def look(log: Sequence[events.UbiRecord]) -> None:
        seen.update({r.kind for r in log})
        searches = [r for r in log if r.kind == "search"]
        moments = sorted(events.happens(r) for r in searches)
        gaps = [(b - a).total_seconds() for a, b in itertools.pairwise(moments)]
        seen["tie"] += 0.0 in gaps
        seen["gap of exactly the timeout"] += 1800.0 in gaps
        seen["another day"] += len({m.date() for m in moments}) > 1
        seen["twice"] += any(r.again is not None for r in log)
        seen["a week late"] += any(events.DELAYS[r.delay] == 168 for r in log)
        seen["several files"] += len(events.ubi_files(log)) > 3

    look()
    wanted = {*events.UBI_KINDS, "tie", "another day", "twice", "a week late", "several files"}
    assert wanted | {"gap of exactly the timeout"} <= set(+seen)


def _table(**columns: list[object]) -> pa.Table:
    return pa.table(columns)


def test_comparison_counts_both_ways_and_tells_last_bits_apart() -> None:
    groups = {"t": "g"}
    left = {"t": _table(key=["a", "b", "b"], x=[0.1 + 0.2, 1.0, 1.0], tags=[["p"], [], None])}
    right = {"t": _table(key=["a", "b", "b"], x=[0.3, 1.0, 1.0], tags=[["p"], [], None])}
    assert compare(left, left, groups).differences == []
    (bits,) = compare(left, right, groups).differences
    assert bits.is_last_bits
    assert bits.columns == ("x",)
    assert compare(left, right, groups).wrong(allow_last_bits=True) == []
    assert compare(left, right, groups).wrong(allow_last_bits=False) == [bits]
    fewer = {"t": left["t"].slice(0, 2)}
    (lost,) = compare(fewer, left, groups).differences
    assert (lost.n_left, lost.n_right) == (0, 1)
    assert not lost.is_last_bits


def test_a_repeated_row_is_a_difference() -> None:
    once, twice = {"t": _table(key=["a"])}, {"t": _table(key=["a", "a"])}
    (found,) = compare(twice, once, {"t": "g"}).differences
    assert (found.n_left, found.n_right) == (1, 0)


def test_layouts_leave_out_only_what_speaks_of_files() -> None:
    columns = {"source": ["ubi"], "n_rows": [3]}
    whole = _table(**columns, source_file=["all"])
    parts = pa.concat_tables(
        [
            _table(source=["ubi"], n_rows=[1], source_file=["a"]),
            _table(source=["ubi"], n_rows=[2], source_file=["b"]),
        ]
    )
    groups = {"fct_input_reconciliation": "behavior"}
    left, right = ({"fct_input_reconciliation": table} for table in (whole, parts))
    assert compare(left, right, groups).differences
    assert compare(left, right, groups, layouts_differ=True).differences == []


def test_the_public_tables_are_those_of_the_project() -> None:
    tables = public_tables()
    assert tables["fct_searches"] == "behavior"
    assert tables["fct_position_propensities"] == "propensity"
    assert len(tables) >= 16
    assert ONE_FILE not in SCHEDULES


def test_parquet_files_hold_the_same_rows(tmp_path: Path) -> None:
    delivery = Delivery("a.parquet", ({"x": 1}, {"x": 2, "y": "z"}), datetime(2026, 3, 1))
    deliver(tmp_path, [delivery])
    assert pa.parquet.read_table(tmp_path / "a.parquet").to_pylist() == [
        {"x": 1, "y": None},
        {"x": 2, "y": "z"},
    ]
    assert (tmp_path / "a.parquet").stat().st_mtime == 1772323200
