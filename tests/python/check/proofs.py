"""The long proofs of `make test-all`: each passes once on a tree, and is not repeated there.

A stamp says on which files' contents, with which Python and which size a proof passed. A tree that
differs in one byte asks for every proof again.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from check import PROJECT
from check.changes import fingerprint, read_tree, recorded, write


@dataclass(frozen=True)
class Proof:
    """A target of the Makefile.

    Attributes:
        target: its name.
        sizes: variables by which a caller makes it longer or shorter.
    """

    target: str
    sizes: tuple[str, ...] = ()


PROOFS = (
    Proof("test"),
    Proof("test-slow"),
    Proof("test-equivalence"),
    Proof("chaos", ("KILLS",)),
    Proof("fuzz", ("FILES",)),
    Proof("mutation"),
)

Runner = Callable[[str], int]


def run_target(target: str) -> int:
    """Run a target of the Makefile, its output as it comes; its exit status."""
    return subprocess.run([os.environ.get("MAKE") or "make", target], cwd=PROJECT).returncode


def prove_all(
    stamps: Path,
    *,
    again: bool = False,
    project: Path = PROJECT,
    proofs: Sequence[Proof] = PROOFS,
    runner: Runner = run_target,
) -> list[str]:
    """Run the proofs that have not passed on this tree, one after the other.

    Args:
        stamps: folder of the stamps.
        again: run those that have passed as well.
        project: a git checkout.
        proofs: what to run.
        runner: runs one target, and gives its exit status.

    Returns:
        Targets that failed.
    """
    failed = []
    for proof in proofs:
        stamp = stamps / f"{proof.target}.json"
        key = key_of(proof, project, os.environ)
        passed = recorded(stamp) or {}
        if passed.get("key") == key and not again:
            print(f"{proof.target}: passed on this tree, in {passed['seconds']} s", flush=True)
            continue
        print(f"{proof.target}: running", flush=True)
        # A proof that fails now has not passed, whatever it did before.
        stamp.unlink(missing_ok=True)
        started = time.monotonic()
        status = runner(proof.target)
        seconds = round(time.monotonic() - started)
        if status:
            failed.append(proof.target)
            print(f"{proof.target}: FAILED ({status}) after {seconds} s", flush=True)
        elif key_of(proof, project, os.environ) != key:
            print(f"{proof.target}: passed in {seconds} s, but files changed meanwhile", flush=True)
        else:
            write(stamp, json.dumps({"key": key, "seconds": str(seconds)}))
            print(f"{proof.target}: passed in {seconds} s", flush=True)
    return failed


def key_of(proof: Proof, project: Path, environment: Mapping[str, str]) -> str:
    """What a proof's outcome depends on, as one digest."""
    parts = [
        fingerprint(read_tree(project)),
        sys.version,
        *(f"{name}={environment.get(name, '')}" for name in proof.sizes),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
