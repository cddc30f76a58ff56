"""The benchmark of decisions: resumed, mended, and what its tables say."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import bench_decisions
from bench_decisions import Cell, gate_cell, is_wrong, known, markdown, run
from flywheel.errors import FlywheelError
from flywheel.terminal import Terminal
from sql_project import PROJECT

QUIET = Terminal(quiet=True)
RESULT = {
    "truth": 0.02,
    "estimate": 0.04,
    "ci_low": 0.01,
    "ci_high": 0.1,
    "support": 0.9,
    "verdict": "better",
}


class Bench:
    """Cells that count how often they are measured."""

    def __init__(self, *names: str) -> None:
        self.measured: list[str] = []
        self.cells = [Cell(name, "1", partial(self._measure, name)) for name in names]
        self.failing = ""

    def _measure(self, name: str) -> dict[str, Any]:
        if name == self.failing:
            raise KeyboardInterrupt
        self.measured.append(name)
        return dict(RESULT)


def test_a_small_cell_is_measured_as_it_is_in_truth() -> None:
    found = gate_cell("blend", 3, n_searches=300)
    assert set(found) == set(bench_decisions.RESULTS["gate"])
    assert found["ci_low"] <= found["truth"] <= found["ci_high"]
    found = bench_decisions.propensity_cell("shuffled", 0, searches=400)
    assert set(found) == set(bench_decisions.RESULTS["propensities"])
    # ULTRA's curve is far from k^-0.6: by hand, the mean of |log((e_k / e_1) / k^-0.6)|.
    assert found["power_law_error"] == pytest.approx(0.464, abs=5e-4)
    assert 0 <= found["covered"] <= found["intervals"] <= 9


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    bench = Bench("gate/blend/0", "gate/blend/1", "gate/junk/0")
    bench.failing = "gate/blend/1"
    with pytest.raises(KeyboardInterrupt):
        run(bench.cells, results, QUIET)
    assert list(known(results, bench.cells)) == ["gate/blend/0"]
    bench.failing = ""
    assert list(run(bench.cells, results, QUIET, minutes=0)) == ["gate/blend/0"]
    found = run(bench.cells, results, QUIET)
    assert bench.measured == ["gate/blend/0", "gate/blend/1", "gate/junk/0"]
    assert found == known(results, bench.cells) == dict.fromkeys(bench.measured, RESULT)
    # What the result rests on has changed, of one cell: that one is measured again.
    changed = Bench(*bench.measured)
    changed.cells[1] = Cell("gate/blend/1", "2", changed.cells[1].measure)
    run(changed.cells, results, QUIET)
    assert changed.measured == ["gate/blend/1"]


def test_one_part_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    bench = Bench("gate/blend/0", "canary/harm/0")
    run(bench.cells[:1], results, QUIET)
    canary = dict.fromkeys(bench_decisions.RESULTS["canary"], 1)
    cells = [bench.cells[0], Cell("canary/harm/0", "1", lambda: canary)]
    assert run(cells, results, QUIET, only="canary") == {
        "gate/blend/0": RESULT,
        "canary/harm/0": canary,
    }
    assert bench.measured == ["gate/blend/0"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"cells": {"gate/ble',
        "[]",
        '{"cells": []}',
        '{"cells": {"gate/blend/0": 1}}',
        '{"cells": {"gate/blend/0": {"fingerprint": "1", "result": {"truth": 1}}}}',
        "\x00\xff",
    ],
)
def test_a_damaged_file_is_one_sentence(tmp_path: Path, text: str) -> None:
    results = tmp_path / "results.json"
    results.write_bytes(text.encode("latin-1"))
    with pytest.raises(FlywheelError, match=r"results.json is damaged \(.*delete it") as error:
        run(Bench("gate/blend/0").cells, results, QUIET)
    assert "\n" not in str(error.value)
    assert results.read_bytes() == text.encode("latin-1")


def test_a_verdict_is_wrong_where_it_says_the_opposite() -> None:
    said = [
        is_wrong({"verdict": verdict, "truth": truth})
        for verdict in ("better", "not_better", "unsupported")
        for truth in (0.1, -0.1)
    ]
    assert said == [False, True, True, False, False, False]


def test_tables_by_hand() -> None:
    bench = Bench("gate/pairs/12", "gate/pairs/13", "canary/nothing/0")
    wrong = RESULT | {"truth": -0.02}
    found = {"gate/pairs/12": RESULT, "gate/pairs/13": wrong}
    text = markdown(bench.cells, found)
    assert (
        "| another, as good: further pairs | 2 | +0.0 % | +4.0 % | +1 % to +10 % | 90 % "
        "| 2 | 0 | 0 | 1 | 1 |" in text
    )
    assert "Wrong verdicts: 1 of 2." in text
    assert "called `better`: 1 of 1, " in text
    assert "called `better`: 2 of 2, " in text
    assert "Not measured yet: canary/nothing 1." in text


def test_the_page_says_what_was_measured() -> None:
    results = PROJECT / "docs" / "decisions-bench.json"
    stored = json.loads(results.read_text(encoding="utf-8"))["cells"]
    cells = [
        Cell(cell.name, stored[cell.name]["fingerprint"], cell.measure)
        for cell in bench_decisions.grid()
        if cell.name in stored
    ]
    assert len(cells) == len(stored)
    page = (PROJECT / "docs" / "decisions-bench.md").read_text(encoding="utf-8")
    tables = markdown(bench_decisions.grid(), known(results, cells))
    assert page.split(bench_decisions.MARK)[1].strip() == tables.strip()
