"""Shows a challenger to a share of the users, and to more of them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from flywheel import deployment
from flywheel.deployment import Deployment
from flywheel.errors import FlywheelError
from flywheel.registry.files import verify_files
from flywheel.registry.ledger import change, moment, move, transaction
from flywheel.registry.manifest import publish_manifest
from flywheel.registry.reading import read_state
from flywheel.registry.rows import end, insert_deployment
from flywheel.registry.states import CANARY, RAMPED, RETIRED
from flywheel.settings import Settings


def start_canary(
    settings: Settings,
    version: str,
    share: float,
    *,
    at: datetime | None = None,
    reason: str = "canary started",
    evidence: Mapping[str, Any] | None = None,
    retires: str | None = None,
) -> Deployment:
    """Show a challenger to a share of the users.

    Args:
        settings: names the warehouse and the home folder.
        version: a registered model in state challenger.
        share: of users, between 0 and 1; assignment is in steps of one ten-thousandth.
        at: start of the deployment, naive UTC; default: now.
        reason: goes into the event.
        evidence: numbers behind the decision, kept as JSON.
        retires: the judged model that `version` is a refit of; it makes room in the same step.

    Raises:
        FlywheelError: a canary is running already, the version is unknown or in another state,
            the share is out of range, or a file of the model is damaged.
    """
    if not 0.0001 <= share <= 0.9999:
        raise FlywheelError(
            f"The canary share is {share}; it must lie between 0.0001 and 0.9999 "
            "(0.05 is 5 % of the users)."
        )
    with change(settings) as connection:
        state = read_state(connection)
        if state.running is not None:
            raise FlywheelError(
                f"Canary {state.running.deployment_id} is still running; promote it, "
                "roll it back or end it before another one starts."
            )
        model = state.version(version)
        verify_files(settings, model)
        number = len(state.deployments) + 1
        deployment_id = deployment.deployment_id_for(number, version)
        started = Deployment(
            deployment_id=deployment_id,
            champion_version=state.champion,
            challenger_version=version,
            salt=deployment.salt_for(deployment_id),
            unit=deployment.UNIT,
            canary_share=share,
            started_at=moment(at),
        )
        with transaction(connection):
            details = {"deployment_id": deployment_id, "canary_share": share}
            move(
                connection,
                version,
                CANARY,
                at=at,
                reason=reason,
                evidence={**details, **(evidence or {})},
            )
            if retires is not None:
                move(
                    connection,
                    retires,
                    RETIRED,
                    at=at,
                    reason=f"deployed as {version}, refitted up to the end of the log",
                    evidence=details,
                )
            insert_deployment(connection, started)
        publish_manifest(settings, read_state(connection))
        return started


def ramp(
    settings: Settings,
    share: float,
    *,
    at: datetime | None = None,
    reason: str = "share raised",
    evidence: Mapping[str, Any] | None = None,
) -> Deployment:
    """Show the running canary to more users: a deployment of its own, with the salt of the first.

    The salt keeps everybody in the canary who is in it; the comparison starts afresh, since days
    of different shares must not be added up.

    Args:
        settings: names the warehouse and the home folder.
        share: of users, above the present one.
        at: naive UTC; default: now.
        reason: goes into the event and the deployment that ends.
        evidence: numbers behind the decision, kept as JSON.

    Raises:
        FlywheelError: no canary is running, or the share is not a larger one.
    """
    with change(settings) as connection:
        state = read_state(connection)
        running = state.running
        if running is None:
            raise FlywheelError("No canary is running, so there is no share to raise.")
        if not running.canary_share < share <= 0.9999:
            raise FlywheelError(
                f"The canary share is {running.canary_share}; it can be raised to at most 0.9999, "
                f"not to {share}."
            )
        version = running.challenger_version
        raised = replace(
            running,
            deployment_id=deployment.deployment_id_for(len(state.deployments) + 1, version),
            canary_share=share,
            started_at=max(moment(at), running.started_at),
        )
        with transaction(connection):
            details = {
                "deployment_id": raised.deployment_id,
                "canary_share": share,
                "raised_from": running.deployment_id,
            }
            move(
                connection,
                version,
                CANARY,
                at=at,
                reason=reason,
                evidence={**(evidence or {}), **details},
            )
            end(connection, running, RAMPED, reason, at)
            insert_deployment(connection, raised)
            # The turn that started the canary is judged by the deployment that decides.
            connection.execute(
                "update flywheel_state.iterations set deployment_id = ? where deployment_id = ?",
                [raised.deployment_id, running.deployment_id],
            )
        publish_manifest(settings, read_state(connection))
        return raised
