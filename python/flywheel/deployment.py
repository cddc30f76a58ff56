"""The deployment manifest: what the serving side reads, written from the registry's state.

The manifest is a copy of what the warehouse's tables say, never a source: `registry.repair`
writes it again whenever the two differ. Every manifest that was ever in force is kept in
`deployments/`, named by the registry event that brought it about.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flywheel.files import sha256_bytes, write_atomic
from flywheel.settings import Settings

MANIFEST_VERSION = 1
LOGGED_ORDER = "logged"
UNIT = "user_id"
NO_DEPLOYMENT = "d000000"


@dataclass(frozen=True)
class ModelFile:
    """One file of a model.

    Attributes:
        path: relative to `FLYWHEEL_HOME`, with forward slashes.
        sha256: hexadecimal digest of its content.
    """

    path: str
    sha256: str


@dataclass(frozen=True)
class Deployment:
    """One canary: a share of the users sees the challenger. A row of `deployments`.

    A canary whose share is raised goes on as a deployment of its own, with the salt of the first.

    Attributes:
        deployment_id: sorts in order of start.
        champion_version: what everybody else sees; 'logged' before there is a champion.
        challenger_version: the canary's model.
        salt: decides, with the user's id, who is in the canary.
        unit: the column that is bucketed.
        canary_share: between 0 and 1.
        started_at: naive UTC.
        ended_at: naive UTC; None while it runs.
        outcome: 'promote', 'roll_back', 'inconclusive' or 'ramped' (a larger share took over);
            None while it runs.
        reason: why it ended.
    """

    deployment_id: str
    champion_version: str
    challenger_version: str
    salt: str
    unit: str
    canary_share: float
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None
    reason: str | None = None


def deployment_id_for(number: int, challenger: str) -> str:
    """Name of the `number`-th deployment (from 1) of this warehouse."""
    return f"d{number:06d}-{challenger}"


def salt_for(deployment_id: str) -> str:
    """Salt of a deployment: new for each, so that no user is always the one who tries things."""
    return sha256_bytes(f"deployment salt of {deployment_id}".encode())[:16]


def build_manifest(
    *,
    champion: str,
    champion_files: Mapping[str, ModelFile] | None,
    champion_snapshot: str | None,
    running: Deployment | None,
    canary_files: Mapping[str, ModelFile] | None,
    canary_snapshot: str | None,
    latest: Deployment | None,
    written_at: datetime,
) -> dict[str, Any]:
    """Put the registry's state into the form the serving side reads.

    Args:
        champion: version, or 'logged' for the order the log came in.
        champion_files: its files by role; None for 'logged'.
        champion_snapshot: name of its behavioural features' snapshot; None for 'logged'.
        running: the canary deployment under way, or None.
        canary_files: files of its challenger.
        canary_snapshot: name of its challenger's snapshot.
        latest: the deployment that ended last; names the manifest when none is running.
        written_at: naive UTC time of the change.
    """
    named = running or latest
    deployment_id = named.deployment_id if named else NO_DEPLOYMENT
    canary = None
    if running is not None:
        canary = {
            "model_version": running.challenger_version,
            "share": running.canary_share,
            "snapshot": canary_snapshot,
            "files": _files(canary_files),
        }
    return {
        "manifest_version": MANIFEST_VERSION,
        "deployment_id": deployment_id,
        "salt": named.salt if named else salt_for(NO_DEPLOYMENT),
        "unit": named.unit if named else UNIT,
        "written_at": written_at.replace(tzinfo=None).isoformat() + "Z",
        "champion": {
            "model_version": champion,
            "snapshot": champion_snapshot,
            "files": _files(champion_files),
        },
        "canary": canary,
    }


def publish(settings: Settings, manifest: Mapping[str, Any], event_id: str | None) -> None:
    """Write `deployment.json`, and keep a copy under the event's name.

    The copy comes first: once the manifest is in force, its record exists.
    """
    data = (json.dumps(manifest, indent=2) + "\n").encode()
    if event_id is not None:
        write_atomic(history_folder(settings) / f"{event_id}.json", data)
    write_atomic(settings.deployment_manifest, data)


def read_manifest(settings: Settings) -> dict[str, Any] | None:
    """Read `deployment.json`; None where it is absent or is no JSON object."""
    try:
        manifest = json.loads(settings.deployment_manifest.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) else None


def says_the_same(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Whether two manifests serve alike, whenever they were written."""
    if one is None or other is None:
        return one is other
    return {**one, "written_at": None} == {**other, "written_at": None}


def history_folder(settings: Settings) -> Path:
    """Folder of all manifests that were ever in force."""
    return settings.home / "deployments"


def utc_now() -> datetime:
    """The clock, as the naive UTC time the warehouse stores."""
    return datetime.now(UTC).replace(tzinfo=None)


def _files(files: Mapping[str, ModelFile] | None) -> dict[str, dict[str, str]] | None:
    if files is None:
        return None
    return {role: {"path": file.path, "sha256": file.sha256} for role, file in files.items()}
