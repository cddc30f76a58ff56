"""Ends a canary, and takes back what users see."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flywheel.deployment import LOGGED_ORDER, Deployment
from flywheel.errors import FlywheelError
from flywheel.registry.files import verify_files
from flywheel.registry.ledger import change, move, transaction
from flywheel.registry.manifest import finish, publish_manifest
from flywheel.registry.reading import read_state
from flywheel.registry.records import RegistryState
from flywheel.registry.rows import end
from flywheel.registry.states import CANARY, CHAMPION, RETIRED, ROLLED_BACK
from flywheel.settings import Settings


def promote(
    settings: Settings,
    version: str | None = None,
    *,
    at: datetime | None = None,
    reason: str = "promoted",
    evidence: Mapping[str, Any] | None = None,
) -> Deployment:
    """Make the running canary the champion and retire the one before it.

    Args:
        settings: names the warehouse and the home folder.
        version: the model that is meant to be the canary; None takes whichever it is.
        at: naive UTC; default: now.
        reason: goes into the events and the deployment.
        evidence: numbers behind the decision, kept as JSON.

    Returns:
        The deployment that has ended.

    Raises:
        FlywheelError: no canary is running, or it is another model, or its files are damaged.
    """
    with change(settings) as connection:
        state = read_state(connection)
        running = state.running
        if version is not None:
            model = state.version(version)
            if model.state != CANARY:
                raise FlywheelError(
                    f"Model version {version} is {model.state}, not canary; only a canary that "
                    "real users have seen can be promoted. Start it with `flywheel canary`."
                )
        if running is None:
            raise FlywheelError(
                "No canary is running, so there is nothing to promote; start one with "
                "`flywheel canary`."
            )
        verify_files(settings, state.version(running.challenger_version))
        with transaction(connection):
            if state.champion != LOGGED_ORDER:
                move(
                    connection,
                    state.champion,
                    RETIRED,
                    at=at,
                    reason=f"replaced by {running.challenger_version}",
                    evidence={"deployment_id": running.deployment_id},
                )
            move(
                connection,
                running.challenger_version,
                CHAMPION,
                at=at,
                reason=reason,
                evidence={"deployment_id": running.deployment_id, **(evidence or {})},
            )
            end(connection, running, "promote", reason, at)
        return finish(settings, connection, running.deployment_id)


def end_canary(
    settings: Settings,
    *,
    at: datetime | None = None,
    reason: str = "inconclusive",
    evidence: Mapping[str, Any] | None = None,
) -> Deployment:
    """End the running canary without a verdict: the challenger retires, the champion stays.

    Raises:
        FlywheelError: no canary is running.
    """
    with change(settings) as connection:
        running = read_state(connection).running
        if running is None:
            raise FlywheelError("No canary is running, so there is nothing to end.")
        with transaction(connection):
            move(
                connection,
                running.challenger_version,
                RETIRED,
                at=at,
                reason=reason,
                evidence={"deployment_id": running.deployment_id, **(evidence or {})},
            )
            end(connection, running, "inconclusive", reason, at)
        return finish(settings, connection, running.deployment_id)


def rollback(
    settings: Settings,
    *,
    at: datetime | None = None,
    reason: str = "rolled back",
    evidence: Mapping[str, Any] | None = None,
) -> RegistryState:
    """Take back the newest thing users see.

    A running canary ends and its model is rolled back. Where none is running, the champion is
    rolled back and the one before it (or the logged order) is restored, from the very files it
    had.

    Returns:
        The registry's state afterwards; its `champion` is what everybody sees now.

    Raises:
        FlywheelError: no canary is running and no model is champion, or the files of the
            champion to be restored are damaged.
    """
    with change(settings) as connection:
        state = read_state(connection)
        running = state.running
        details = dict(evidence or {})
        if running is not None:
            details = {"deployment_id": running.deployment_id, **details}
            with transaction(connection):
                move(
                    connection,
                    running.challenger_version,
                    ROLLED_BACK,
                    at=at,
                    reason=reason,
                    evidence=details,
                )
                end(connection, running, "roll_back", reason, at)
        else:
            if state.champion == LOGGED_ORDER:
                raise FlywheelError(
                    "No canary is running and the champion is the logged order, so there is "
                    "nothing to roll back."
                )
            previous = state.previous_champion
            if previous != LOGGED_ORDER:
                verify_files(settings, state.version(previous))
            with transaction(connection):
                move(
                    connection,
                    state.champion,
                    ROLLED_BACK,
                    at=at,
                    reason=reason,
                    evidence={"restored": previous, **details},
                )
                if previous != LOGGED_ORDER:
                    move(
                        connection,
                        previous,
                        CHAMPION,
                        at=at,
                        reason=f"restored after the roll-back of {state.champion}",
                        evidence=details,
                    )
        state = read_state(connection)
        publish_manifest(settings, state)
        return state
