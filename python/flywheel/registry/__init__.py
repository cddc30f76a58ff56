"""The model registry: which model is champion, which is on trial, and how each got there.

The tables in `flywheel_state` are the truth. A model's files are in place before its row is
written, the rows of one change are written in one transaction, and `deployment.json` is written
after it; whatever a killed run leaves between those steps, `repair` sets right.

Only one process can write the warehouse, so whoever holds a connection (`repair` included, which
only reads) knows that nobody else is in the middle of a change.

Each module has one job: `states` (and the moves between them), `records` (what the tables say),
`reading`, `ledger` (transactions and events), `rows`, `files`, `manifest`; above them what commands
call: `models`, `canary`, `verdicts`, `snapshots`, `questions`, `leftovers`.
"""

from flywheel.deployment import LOGGED_ORDER, Deployment, ModelFile
from flywheel.registry.canary import ramp, start_canary
from flywheel.registry.files import PENDING, verify_files
from flywheel.registry.leftovers import RepairReport, repair
from flywheel.registry.models import register, retire
from flywheel.registry.questions import (
    champion,
    current_deployment,
    request_evaluation,
    resolve,
    state,
)
from flywheel.registry.reading import read_state
from flywheel.registry.records import (
    BEHAVIOR,
    Event,
    ModelVersion,
    Registrable,
    RegistryState,
    Snapshot,
)
from flywheel.registry.snapshots import refresh_snapshots
from flywheel.registry.states import (
    ALLOWED_MOVES,
    CANARY,
    CHALLENGER,
    CHAMPION,
    LATEST,
    RAMPED,
    RETIRED,
    ROLLED_BACK,
    UNREGISTERED,
)
from flywheel.registry.verdicts import end_canary, promote, rollback

__all__ = [
    "ALLOWED_MOVES",
    "BEHAVIOR",
    "CANARY",
    "CHALLENGER",
    "CHAMPION",
    "LATEST",
    "LOGGED_ORDER",
    "PENDING",
    "RAMPED",
    "RETIRED",
    "ROLLED_BACK",
    "UNREGISTERED",
    "Deployment",
    "Event",
    "ModelFile",
    "ModelVersion",
    "Registrable",
    "RegistryState",
    "RepairReport",
    "Snapshot",
    "champion",
    "current_deployment",
    "end_canary",
    "promote",
    "ramp",
    "read_state",
    "refresh_snapshots",
    "register",
    "repair",
    "request_evaluation",
    "resolve",
    "retire",
    "rollback",
    "start_canary",
    "state",
    "verify_files",
]
