"""A small warehouse with known truth, for the tests of ranker, registry and deployment."""

import functools
import json
import re
import sys
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from flywheel.settings import Settings
from flywheel.warehouse import connect
from sql_project import SqlProject

PROJECT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 1, 12)


def state_tables() -> dict[str, str]:
    """Columns of the state tables, read from the macro that creates them."""
    text = (PROJECT / "macros/builds/create_state_tables.sql").read_text()
    found = re.findall(r"'(\w+)':\s*'([^']+)'", text)
    return {name: " ".join(columns.split()) for name, columns in found}


@functools.cache
def live_views() -> dict[str, str]:
    """SQL of the models that Python asks between builds, by their places."""
    project = SqlProject(has_schemas=True)
    names = ("int_models__moved", "int_turns__interrupted")
    return {f"main_intermediate.{name}": project.model(name) for name in names}


def create_state(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the empty state tables, and the views of them."""
    connection.execute("create schema flywheel_state")
    connection.execute("create schema main_intermediate")
    for name, columns in state_tables().items():
        connection.execute(f"create table flywheel_state.{name} ({columns})")
    for name, sql in live_views().items():
        connection.execute(f"create view {name} as {sql}")


def new_flywheel(folder: Path) -> Settings:
    """An empty home with a warehouse that holds the empty state tables."""
    home = folder / "home"
    home.mkdir(parents=True)
    settings = Settings(project=PROJECT, home=home, database=home / "warehouse.duckdb")
    with connect(settings, read_only=False) as connection:
        create_state(connection)
    return settings


def holders(owner: Any, name: str) -> list[Any]:
    """The owner of a function, and the registry's modules that imported it by name."""
    function = getattr(owner, name)
    modules = [m for key, m in sys.modules.items() if key.startswith("flywheel.registry.")]
    return [owner, *(m for m in modules if m is not owner and getattr(m, name, 0) is function)]


@dataclass
class FakeModel:
    """Something to register that needs no training."""

    version: str
    content: str = "a model"
    window_start: datetime = datetime(2026, 1, 1)
    window_end: datetime = datetime(2026, 1, 31)
    fingerprint: str = "f00"
    feature_names: tuple[str, ...] = ("f_a",)
    metrics: dict = field(default_factory=dict)
    parameters: dict = field(default_factory=lambda: {"seed": 0})

    def write_files(self, connection: duckdb.DuckDBPyConnection, folder: Path) -> dict[str, str]:
        (folder / "model.txt").write_text(f"{self.content} {self.version}")
        (folder / "features.json").write_text(json.dumps(list(self.feature_names)))
        (folder / "behavior.parquet").write_bytes(b"PAR1 " + self.version.encode())
        return {"model": "model.txt", "features": "features.json", "behavior": "behavior.parquet"}


def write_training_set(
    settings: Settings,
    *,
    n_queries: int = 120,
    n_docs: int = 8,
    seed: int = 7,
    trainable: bool = True,
    reason: str | None = None,
    order: str = "hash",
) -> None:
    """Training rows, evaluation rows and snapshot of a log whose relevance is known.

    Document d of query q has features a and b; its relevance is 1 / (1 + exp(-(2 a - b))), so a
    ranker must learn to order by 2 a - b. One clicked document per group. The behavioural feature
    is a noisy copy of the relevance, missing for every third document.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for query in range(n_queries):
        a = rng.integers(0, 20, n_docs) / 10
        b = rng.integers(0, 20, n_docs) / 10
        relevance = 1 / (1 + np.exp(-(2 * a - b)))
        clicked = int(np.argmax(relevance + rng.normal(0, 0.05, n_docs)))
        weight = float(rng.choice([0.5, 1.0, 1.5]))
        for doc in range(n_docs):
            bhv = float(relevance[doc] + rng.normal(0, 0.2)) if doc % 3 else None
            rows.append(
                (
                    f"g{query:04d}",
                    f"query {query}",
                    f"d{doc}",
                    int(doc == clicked),
                    weight,
                    "validation" if query % 4 == 0 else "fit",
                    float(a[doc]),
                    float(b[doc]),
                    bhv,
                )
            )
    with connect(settings, read_only=False) as connection:
        connection.execute("create schema if not exists main_intermediate")
        connection.execute(
            "create or replace table rows_made (group_id varchar, query varchar, doc_id varchar, "
            'is_positive integer, weight double, split varchar, f_a double, "f_price (EUR)" '
            "double, bhv_click_rate double)"
        )
        connection.executemany("insert into rows_made values (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        key = {
            "hash": "md5(group_id), md5(group_id || doc_id)",
            "other_hash": "md5('x' || group_id), md5('x' || group_id || doc_id)",
        }[order]
        connection.execute(
            "create or replace table main_intermediate.int_training_rows as "
            "select *, least(weight, 1) as clipped_weight, date '2026-01-30' as feature_date, "
            f"row_number() over (order by {key}) as row_order from rows_made"
        )
        connection.execute(
            "create or replace table main_intermediate.int_refit_rows as "
            "select * replace ('refit' as split) from main_intermediate.int_training_rows"
        )
        connection.execute(
            "create or replace table main_intermediate.int_windows as "
            "select timestamp '2026-02-20 12:00:00' as evaluation_end"
        )
        connection.execute(
            "create or replace table main_intermediate.int_evaluation_rows as "
            "select 's-' || group_id as search_id, query, doc_id, f_a, \"f_price (EUR)\", "
            "bhv_click_rate from rows_made"
        )
        connection.execute(
            "create or replace table main_intermediate.int_evaluation_candidates as "
            'select query, doc_id, f_a, "f_price (EUR)", bhv_click_rate from rows_made '
            "union all select 'query 0', 'never shown', 0.5, 2, null"
        )
        connection.execute(
            "create or replace table main_intermediate.int_serving_behavior as "
            "select query, doc_id, bhv_click_rate from rows_made "
            "where bhv_click_rate is not null "
            "union all select null, 'd7', 0.25"
        )
        connection.execute(
            "create or replace table fct_training_manifest (manifest_id varchar, "
            "window_start timestamp, window_end timestamp, fingerprint varchar, "
            "is_trainable boolean, not_trainable_reason varchar)"
        )
        connection.execute(
            "insert into fct_training_manifest values "
            "('m', timestamp '2026-01-16', timestamp '2026-02-15', 'fingerprint', ?, ?)",
            [trainable, reason],
        )
        connection.execute("drop table rows_made")
