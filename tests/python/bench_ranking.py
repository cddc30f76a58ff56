"""`make bench-ranking`: what models learn from a log, on queries that nobody has asked.

Documents and grades are known, clicks are simulated, and everything from the log to the model is
the project's own: `dbt build`, the training of `flywheel train`, and the refit that users get.
Beside it what LightGBM's own `position` field makes of the same log.
"""

import hashlib
import inspect
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import lightgbm as lgb
import numpy as np

import ranking_worlds
from bench.built_from import built_from
from bench.page import write_page
from bench_decisions import Cell, Result, run
from flywheel import loop, registry
from flywheel.dbt import run_dbt
from flywheel.deployment import LOGGED_ORDER
from flywheel.errors import FlywheelError
from flywheel.ranker import choice, training
from flywheel.settings import Settings, load_settings
from flywheel.terminal import Terminal
from ranking_worlds import Graded, Log, Setting, true_ndcg

MARK = "<!-- written by make bench-ranking: {} -->"
COMMAND = "make bench-ranking"
HELD_OUT = 0.2
"""Share of the queries that nobody asks; models are judged on them."""
SEEDS = range(6, 10)
"""Of the worlds; how models are trained was chosen in those of seeds 0 to 5."""
SEARCHES = (4_000, 20_000)
PRODUCTION = {"weak": 0.05, "strong": 0.5}
"""Share of the asked queries whose grades production knows."""
ORDERS = {"mixed": Setting(0, 0, mixing=0.5), "fixed": Setting(0, 0, randomised_share=0.05)}
SETTINGS = {
    f"{searches}-{production}-{order}": replace(mixed, searches=searches, known_share=share)
    for searches in SEARCHES
    for production, share in PRODUCTION.items()
    for order, mixed in ORDERS.items()
}
BEST = Setting(4_000, known_share=1, randomised_share=0.05)
"""Production knows the grades of all queries that are asked."""
NEEDED = (
    "int_training_rows",
    "int_refit_rows",
    "int_serving_behavior",
    "fct_training_manifest",
    "int_models__moved",
)
GATE = ("int_evaluation_candidates", "fct_offline_verdicts", "int_turns__interrupted")
"""What a turn asks besides."""
MODELS = ("production", "position", "ours", "grades")
COLUMNS = {
    "models": ("ours",),
    "others": ("clicks", "production", "position", "grades"),
    "champion": ("status", "champion", "verdict"),
}
"""What a cell of each part finds."""


def simulated(graded: Graded, setting: Setting, seed: int) -> tuple[Graded, Graded, Any, Log]:
    """Asked and held out documents, the production ranker, and the log of its searches."""
    asked, held_out = graded.split(HELD_OUT, seed)
    order = np.random.default_rng([seed, 1]).permutation(len(asked.sizes))
    known_queries = asked.of_queries(order[: max(2, round(setting.known_share * len(order)))])
    production = ranking_worlds.fit_on_grades(known_queries, rounds=60, seed=seed)
    scores = production.predict(asked.matrix)
    return asked, held_out, production, ranking_worlds.simulate(asked, scores, setting, seed)


@contextmanager
def warehouse(asked: Graded, log: Log, seed: int) -> Iterator[tuple[Settings, dict[str, str]]]:
    """A home of its own with the log and the features beside it, and the vars that name them."""
    with tempfile.TemporaryDirectory(prefix="flywheel-ranking-") as name:
        home = Path(name)
        given = {
            "log_format": "flat",
            "flat_log": str(home / "log.parquet"),
            "ranking_features": str(home / "features.parquet"),
        }
        ranking_worlds.write_log(log, home / "log.parquet", seed)
        ranking_worlds.write_features(asked, home / "features.parquet")
        yield Settings(load_settings().project, home, home / "warehouse.duckdb"), given


def others_cell(setting: Setting, seed: int, dataset: Callable[[], Graded]) -> Result:
    """True NDCG@10 of what this project's model is compared with, whatever that learns."""
    asked, held_out, production, log = simulated(dataset(), setting, seed)
    positions = ranking_worlds.fit_with_positions(log, asked)
    grades = ranking_worlds.fit_on_grades(asked, rounds=100, seed=seed)
    return {
        "clicks": int(log.clicked.sum()),
        "production": true_ndcg(production.predict(held_out.matrix), held_out),
        "position": max(true_ndcg(fit.predict(held_out.matrix), held_out) for fit in positions),
        "grades": true_ndcg(grades.predict(held_out.matrix), held_out),
    }


def models_cell(setting: Setting, seed: int, dataset: Callable[[], Graded]) -> Result:
    """True NDCG@10 of this project's model on the queries that nobody asked."""
    asked, held_out, _, log = simulated(dataset(), setting, seed)
    with warehouse(asked, log, seed) as (settings, given):
        needed = [f"+{name}" for name in NEEDED]
        run_dbt(settings, "build", select=needed, tests=False, variables=given)
        judged = registry.register(settings, training.train(settings))
        model = training.refit(settings, judged)
    ours = lgb.Booster(model_str=model.text)
    matrix = ranking_worlds.matrix_for(held_out, model.features.names)
    return {"ours": true_ndcg(ours.predict(matrix), held_out)}


def champion_cell(seed: int, dataset: Callable[[], Graded]) -> Result:
    """What a turn does where production knows the grades."""
    asked, _, _, log = simulated(dataset(), BEST, seed)
    with warehouse(asked, log, seed) as (settings, given):
        turned = loop.turn(settings, given, Terminal(quiet=True), tests=False, gates=False)
    return {
        "status": turned.status,
        "champion": turned.champion_version,
        "verdict": turned.offline["verdict"] if turned.offline else None,
    }


def _fingerprint(name: str, models: Sequence[str], measured: Callable[..., Result]) -> str:
    """Of the worlds and, where models are built, of the SQL and how one is trained on it."""
    parts = [ranking_worlds, simulated, measured, *([choice, training] if models else [])]
    sources = [inspect.getsource(part) for part in parts]
    sql = built_from(load_settings(), models) if models else ""
    return hashlib.sha256("\n".join([*sources, sql, name]).encode()).hexdigest()[:16]


def grid(name: str, dataset: Callable[[], Graded]) -> list[Cell]:
    """Every cell of the benchmark on a dataset."""
    others = _fingerprint(name, (), others_cell)
    models = _fingerprint(name, NEEDED, models_cell)
    champion = _fingerprint(name, (*NEEDED, *GATE), champion_cell)
    return [
        *(
            Cell(f"{part}/{setting}/{seed}", mark, partial(measure, what, seed, dataset))
            for setting, what in SETTINGS.items()
            for part, mark, measure in (
                ("others", others, others_cell),
                ("models", models, models_cell),
            )
            for seed in SEEDS
        ),
        *(
            Cell(f"champion/best/{seed}", champion, partial(champion_cell, seed, dataset))
            for seed in SEEDS
        ),
    ]


def markdown(found: Mapping[str, Result], n_cells: int) -> str:
    """The tables of a dataset: means over seeds, and the mean paired difference with its error."""
    lines = [
        "| searches | seeds | clicks | production | its order | production | `position` field "
        "| this project | grades known | this project less `position` |",
        "|--:|--:|--:|---|---|--:|--:|--:|--:|--:|",
    ]
    for setting in SETTINGS:
        pairs = [(f"models/{setting}/{seed}", f"others/{setting}/{seed}") for seed in SEEDS]
        rows = [found[m] | found[o] for m, o in pairs if m in found and o in found]
        if len(rows) < 2:
            continue
        searches, production, order = setting.split("-")
        mean = {name: np.mean([row[name] for row in rows]) for name in ("clicks", *MODELS)}
        gains = np.array([row["ours"] - row["position"] for row in rows])
        models = " | ".join(f"{mean[model]:.3f}" for model in MODELS)
        lines.append(
            f"| {int(searches):,} | {len(rows)} | {mean['clicks']:,.0f} | {production} | {order} "
            f"| {models} | {gains.mean():+.3f} ± {gains.std(ddof=1) / np.sqrt(len(gains)):.3f} |"
        )
    champions = [row for name, row in found.items() if name.startswith("champion/")]
    if champions:
        verdicts = ", ".join(
            f"`{verdict}` {count}"
            for verdict, count in sorted(Counter(row["verdict"] for row in champions).items())
        )
        stays = sum(row["champion"] == LOGGED_ORDER for row in champions)
        lines += [
            "",
            f"Where production knows every grade, the gate's verdicts on the challenger are "
            f"{verdicts}; production stays champion in {stays} of {len(champions)}.",
        ]
    if len(found) < n_cells:
        lines += ["", f"Measured: {len(found)} of {n_cells} cells. `{COMMAND}` goes on."]
    return "\n".join(lines) + "\n"


@click.command()
@click.option(
    "--letor",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of a ranking dataset in LibSVM form; else documents are made.",
)
@click.option("--minutes", default=float("inf"), help="Begin no cell after these.")
@click.option("--write", is_flag=True, help="Put the tables into docs/ranking-bench.md.")
def main(letor: Path | None, minutes: float, write: bool) -> None:
    """Measure what models learn from simulated clicks, against the grades behind them."""
    terminal = Terminal()
    docs = load_settings().project / "docs"
    name = "given" if letor else "made"
    try:
        graded = ranking_worlds.read_graded(letor) if letor else ranking_worlds.made_graded()
        cells = grid(name, lambda: graded)
        results = docs / f"ranking-bench-{name}.json"
        found = run(cells, results, terminal, minutes=minutes, columns=COLUMNS)
        tables = markdown(found, len(cells))
        terminal.line()
        terminal.line(tables)
        if write:
            write_page(docs / "ranking-bench.md", tables, MARK.format(name))
    except FlywheelError as error:
        raise SystemExit(f"flywheel: {error}") from None


if __name__ == "__main__":
    main()
