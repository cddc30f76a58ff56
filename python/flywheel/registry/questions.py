"""What others ask the registry: who is champion, which model a name means, an evaluation."""

import json
from datetime import datetime

from flywheel.deployment import LOGGED_ORDER, Deployment
from flywheel.errors import FlywheelError
from flywheel.files import sha256_bytes
from flywheel.registry.ledger import change, moment, transaction
from flywheel.registry.reading import read_state
from flywheel.registry.records import ModelVersion, RegistryState
from flywheel.registry.states import CHALLENGER, CHAMPION, LATEST
from flywheel.settings import Settings
from flywheel.warehouse import connect


def state(settings: Settings) -> RegistryState:
    """Everything the registry knows."""
    with connect(settings) as connection:
        return read_state(connection)


def champion(settings: Settings) -> str:
    """Version of the champion; 'logged' where no model has been promoted."""
    return state(settings).champion


def current_deployment(settings: Settings) -> Deployment | None:
    """The canary deployment under way, or None."""
    return state(settings).running


def resolve(registry: RegistryState, name: str) -> ModelVersion:
    """Find the model that 'latest', 'champion', 'challenger' or a version names.

    The latest is the one registered last, whatever was decided about it.

    Raises:
        FlywheelError: there is no such model; the logged order is none.
    """
    if name == CHALLENGER:
        if registry.challenger is None:
            raise FlywheelError(
                "There is no challenger: every registered model has been decided about. "
                "Train one with `flywheel train`, or name a version."
            )
        return registry.version(registry.challenger)
    if name == LATEST:
        if not registry.versions:
            raise FlywheelError(
                "There is no model yet; train one with `flywheel run` or `flywheel train`, which "
                "say what is missing where they cannot."
            )
        return list(registry.versions.values())[-1]
    if name in (CHAMPION, LOGGED_ORDER):
        version = registry.champion if name == CHAMPION else LOGGED_ORDER
        if version == LOGGED_ORDER:
            raise FlywheelError(
                "The champion is still the logged order, which has no model to score with; "
                "use `--model latest` or a version, or promote a model first."
            )
        return registry.version(version)
    return registry.version(name)


def request_evaluation(
    settings: Settings,
    version: str,
    *,
    window_start: datetime,
    window_end: datetime,
    at: datetime | None = None,
) -> str:
    """Ask the warehouse to evaluate a model against the champion on a window of the log.

    The same question twice gives one row.

    Args:
        settings: names the warehouse.
        version: a registered model.
        window_start: naive UTC, first moment of the evaluation window.
        window_end: naive UTC, first moment after it.
        at: naive UTC; default: now.

    Returns:
        The evaluation's id.
    """
    with change(settings) as connection:
        state = read_state(connection)
        state.version(version)
        window = (window_start.isoformat(), window_end.isoformat())
        key = json.dumps([version, state.champion, *window]).encode()
        evaluation_id = f"{version}-{sha256_bytes(key)[:12]}"
        with transaction(connection):
            connection.execute(
                "delete from flywheel_state.evaluations where evaluation_id = ?", [evaluation_id]
            )
            connection.execute(
                "insert into flywheel_state.evaluations (evaluation_id, model_version, "
                "champion_version, window_start, window_end, requested_at) "
                "values (?, ?, ?, ?, ?, ?)",
                [evaluation_id, version, state.champion, window_start, window_end, moment(at)],
            )
        return evaluation_id
