"""Which files of the project changed since something passed.

Contents are compared, not times: a file that was changed and changed back did not change.
"""

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from flywheel.errors import FlywheelError

Tree = Mapping[str, str]
"""The project's files: path below the project, with slashes -> digest of the content."""


def read_tree(project: Path) -> dict[str, str]:
    """The files that git tracks or would track, as they are in the folder.

    Raises:
        FlywheelError: the folder is no git checkout.
    """
    return {path: _digest(project / path) for path in _paths(project) if _is_there(project / path)}


def fingerprint(tree: Tree) -> str:
    """A digest of all paths and contents."""
    return hashlib.sha256(json.dumps(sorted(tree.items())).encode()).hexdigest()


def changed(project: Path, tree: Tree, record: Path) -> frozenset[str]:
    """Paths that differ from a record of `remember`, deleted ones included.

    Args:
        project: a git checkout.
        tree: its files now.
        record: file of the last tree that passed. Without one, the last commit is compared.
    """
    before = recorded(record)
    if before is None:
        names = _git(project, "diff", "--name-only", "--no-renames", "--relative", "-z", "HEAD")
        others = _git(project, "ls-files", "-z", "--others", "--exclude-standard")
        return frozenset(names + others)
    return frozenset(
        path for path in before.keys() | tree.keys() if before.get(path) != tree.get(path)
    )


def remember(record: Path, tree: Tree) -> None:
    """Write that a tree passed."""
    write(record, json.dumps(dict(tree), indent=0, sort_keys=True))


def write(file: Path, text: str) -> None:
    """Write a file whole: interrupted, it leaves the former one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(file)


def recorded(record: Path) -> dict[str, str] | None:
    """What `remember` or a stamp wrote; a file that cannot be read is none."""
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _paths(project: Path) -> list[str]:
    return sorted(
        set(_git(project, "ls-files", "-z", "--cached", "--others", "--exclude-standard"))
    )


def _is_there(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


def _digest(path: Path) -> str:
    content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
    return hashlib.sha256(content).hexdigest()


def _git(project: Path, *arguments: str) -> list[str]:
    try:
        done = subprocess.run(["git", *arguments], cwd=project, capture_output=True, text=True)
    except FileNotFoundError:
        raise FlywheelError("git is needed to see what changed; install it.") from None
    if done.returncode:
        raise FlywheelError(
            f"git cannot say what changed in {project}: {done.stderr.strip()}; "
            "check out the project with git, and commit once."
        )
    return [path for path in done.stdout.split("\0") if path]
