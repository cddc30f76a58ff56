"""What `flywheel status` shows."""

from typing import Any

from flywheel import registry
from flywheel.settings import Settings
from flywheel.terminal import Terminal
from flywheel.warehouse import connect


def read_status(settings: Settings) -> dict[str, Any]:
    """Champion, canary, models and turns, as plain values.

    Raises:
        FlywheelError: the warehouse does not exist yet.
    """
    repaired = registry.repair(settings, verify=False)
    known = registry.state(settings)
    running = known.running
    with connect(settings) as connection:
        cursor = connection.execute(
            "select * from flywheel_state.iterations order by iteration desc limit 10"
        )
        names = [column[0] for column in cursor.description]
        turns = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return {
        "champion": known.champion,
        "canary": None
        if running is None
        else {
            "deployment_id": running.deployment_id,
            "model_version": running.challenger_version,
            "share": running.canary_share,
            "started_at": running.started_at,
        },
        "models": [
            {
                "model_version": model.version,
                "state": model.state,
                "artifact_sha256": model.artifact_sha256,
            }
            for model in known.versions.values()
        ],
        "turns": turns,
        "manifest_rewritten": repaired.manifest_rewritten,
        "warehouse": str(settings.database),
    }


def show_status(found: dict[str, Any], terminal: Terminal) -> None:
    """Print the status for people."""
    terminal.line(f"Champion   {found['champion']}")
    canary = found["canary"]
    if canary is None:
        terminal.line("Canary     none")
    else:
        terminal.line(
            f"Canary     {canary['model_version']} for {canary['share']:.0%} of the users "
            f"since {canary['started_at']} ({canary['deployment_id']})"
        )
    terminal.line(f"Warehouse  {found['warehouse']}")
    if found["models"]:
        terminal.line()
        terminal.table(
            "Models",
            [("version", "left"), ("state", "left"), ("sha256", "left")],
            [(m["model_version"], m["state"], m["artifact_sha256"][:12]) for m in found["models"]],
        )
    if found["turns"]:
        terminal.line()
        terminal.table(
            "Turns, newest first",
            [("turn", "right"), ("at", "left"), ("status", "left"), ("what happened", "left")],
            [
                (str(t["iteration"]), str(t["started_at"]), t["status"], t["reason"])
                for t in found["turns"]
            ],
        )
