"""The mutants that may live: each stands in `survivors.toml` with the reason."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from flywheel.errors import FlywheelError
from mutation.mutants import Mutant

LIST = Path(__file__).with_name("survivors.toml")
"""TOML, since dbt would read YAML under tests/ as a description of its own tests."""


@dataclass(frozen=True)
class Survivor:
    """A mutant that no test notices, and why none does."""

    model: str
    scope: str
    change: str
    nth: int
    reason: str

    @property
    def key(self) -> tuple[str, str, str, int]:
        """As `Mutant.key`."""
        return self.model, self.scope, self.change, self.nth


def read_survivors(path: Path = LIST) -> dict[tuple[str, str, str, int], Survivor]:
    """The listed survivors by key.

    The file has an array `group` of tables: `model`, `reason`, and `changes`, an array of tables
    with `scope`, `change` and, where the same change occurs twice in a scope, `nth`.
    """
    found = {}
    for group in tomllib.loads(path.read_text()).get("group", []):
        if not group.get("reason", "").strip():
            raise FlywheelError(f"{path.name}: a group of {group['model']} has no reason.")
        for change in group["changes"]:
            survivor = Survivor(
                group["model"],
                change["scope"],
                change["change"],
                change.get("nth", 1),
                group["reason"],
            )
            found[survivor.key] = survivor
    return found


def unlisted(survived: Iterable[Mutant], listed: dict) -> list[Mutant]:
    """Survivors without a reason."""
    return [mutant for mutant in survived if mutant.key not in listed]
