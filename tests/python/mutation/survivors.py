"""The mutants that may live: each stands in `survivors.toml` with the reason.

The file has an array `group` of tables: `model`, `reason`, and `changes`, an array of changes as
the report prints them, in which `...` stands for any text.
"""

import re
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
    """Mutants of one model that no test notices, as a pattern, and why none does."""

    model: str
    change: str
    reason: str

    def allows(self, mutant: Mutant) -> bool:
        """Whether the mutant is one of these."""
        pattern = ".*".join(re.escape(part) for part in self.change.split("..."))
        return mutant.model == self.model and re.fullmatch(pattern, mutant.change) is not None


def read_survivors(path: Path = LIST) -> list[Survivor]:
    """The listed survivors."""
    found = []
    for group in tomllib.loads(path.read_text()).get("group", []):
        if not group.get("reason", "").strip():
            raise FlywheelError(f"{path.name}: a group of {group['model']} has no reason.")
        for change in group["changes"]:
            found.append(Survivor(group["model"], change, group["reason"]))
    return found


def unlisted(survived: Iterable[Mutant], listed: list[Survivor]) -> list[Mutant]:
    """Survivors without a reason."""
    return [mutant for mutant in survived if not any(s.allows(mutant) for s in listed)]


def outlived(
    survived: Iterable[Mutant], listed: list[Survivor], models: set[str]
) -> list[Survivor]:
    """Listed survivors of these models that are noticed, or are no mutants any more."""
    alive = list(survived)
    return [
        survivor
        for survivor in listed
        if survivor.model in models and not any(survivor.allows(mutant) for mutant in alive)
    ]
