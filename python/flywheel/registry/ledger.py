"""Changes of the registry's tables: one transaction each, whose outcome must make sense.

`move` is the only way a model changes its state.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import duckdb

from flywheel.deployment import LOGGED_ORDER, utc_now
from flywheel.errors import FlywheelError
from flywheel.registry.reading import read_state
from flywheel.registry.records import RegistryState
from flywheel.registry.states import ALLOWED_MOVES, CANARY, CHAMPION, UNREGISTERED
from flywheel.settings import Settings
from flywheel.warehouse import connect


@contextmanager
def change(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that writes; while it is open, nobody else changes the registry.

    Raises:
        FlywheelError: there is no warehouse yet.
    """
    if not settings.database.exists():
        raise FlywheelError(
            f"There is no warehouse at {settings.database}; run `flywheel build` first."
        )
    with connect(settings, read_only=False) as connection:
        yield connection


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All of the changes within it or, where they fail or contradict one another, none."""
    connection.begin()
    try:
        yield
        _check_invariants(read_state(connection))
        connection.commit()
    except BaseException:
        connection.rollback()
        raise


def move(
    connection: duckdb.DuckDBPyConnection,
    version: str,
    to_state: str,
    *,
    at: datetime | None,
    reason: str,
    evidence: Mapping[str, Any],
) -> None:
    """Write one event: the only way a model changes its state.

    Raises:
        FlywheelError: the model is unknown, or may not make this move.
    """
    registry = read_state(connection)
    current = registry.version(version).state
    from_state = None if current == UNREGISTERED else current
    if (from_state, to_state) not in ALLOWED_MOVES:
        raise FlywheelError(f"Model version {version} is {current} and cannot become {to_state}.")
    event_at = moment(at)
    details = dict(evidence)
    if registry.events and event_at < registry.events[-1].event_at:
        # The ledger never runs backwards: a simulated clock may be behind the real one.
        details["asked_at"] = event_at.isoformat()
        event_at = registry.events[-1].event_at
    connection.execute(
        "insert into flywheel_state.registry_events (event_id, event_at, model_version, "
        "from_state, to_state, reason, evidence) values (?, ?, ?, ?, ?, ?, ?)",
        [
            f"e{len(registry.events) + 1:08d}",
            event_at,
            version,
            from_state,
            to_state,
            reason,
            json.dumps(details, sort_keys=True, default=str),
        ],
    )


def moment(at: datetime | None) -> datetime:
    """Naive UTC of a time, or of now."""
    if at is None:
        return utc_now()
    return at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at


def _check_invariants(registry: RegistryState) -> None:
    """Refuse to commit a state that no sequence of commands may lead to."""
    states = {name: model.state for name, model in registry.versions.items()}
    champions = [name for name, model_state in states.items() if model_state == CHAMPION]
    canaries = [name for name, model_state in states.items() if model_state == CANARY]
    running = [d.challenger_version for d in registry.deployments if d.ended_at is None]
    expected = [] if registry.champion == LOGGED_ORDER else [registry.champion]
    if champions != expected or canaries != running or len(running) > 1:
        raise FlywheelError(
            "The registry would contradict itself "
            f"(champions {champions}, canaries {canaries}, running {running}); nothing was changed."
        )
