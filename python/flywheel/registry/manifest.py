"""Writes `deployment.json` after a change."""

import duckdb

from flywheel import deployment
from flywheel.deployment import Deployment
from flywheel.registry.reading import read_state
from flywheel.registry.records import RegistryState
from flywheel.settings import Settings


def publish_manifest(settings: Settings, registry: RegistryState) -> None:
    """Write the manifest of a state, named by its last event."""
    event_id = registry.events[-1].event_id if registry.events else None
    deployment.publish(settings, registry.manifest(), event_id)


def finish(
    settings: Settings, connection: duckdb.DuckDBPyConnection, deployment_id: str
) -> Deployment:
    """Publish what the tables say now, and return a deployment as it ended."""
    registry = read_state(connection)
    publish_manifest(settings, registry)
    return next(d for d in registry.deployments if d.deployment_id == deployment_id)
