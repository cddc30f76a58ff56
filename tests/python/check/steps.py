"""One step is one command: it takes some seconds, and passes or shows what it printed."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Event

from check import PROJECT

DONE = object()


@dataclass(frozen=True)
class Step:
    """A command that proves something.

    Attributes:
        name: what the line about it begins with.
        command: program and arguments; an empty one passes at once.
        environment: variables on top of this process's own.
        passed: called after the command succeeded.
        note: said behind the seconds.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    passed: Callable[[], None] | None = None
    note: str = ""


@dataclass(frozen=True)
class Result:
    """How a step ended: its status, its seconds, and everything it printed."""

    step: Step
    status: int
    seconds: float
    output: str


def python(*arguments: str) -> tuple[str, ...]:
    """The command that runs this Python with the arguments."""
    return (sys.executable, *arguments)


def run(step: Step) -> Result:
    """Run one step in the project's folder, and wait for it."""
    started = time.monotonic()
    status, output = 0, ""
    if step.command:
        paths = os.pathsep.join(str(PROJECT / folder) for folder in ("python", "tests/python"))
        done = subprocess.run(
            step.command,
            cwd=PROJECT,
            env=os.environ | {"PYTHONPATH": paths} | step.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        status, output = done.returncode, done.stdout
    if status == 0 and step.passed is not None:
        step.passed()
    return Result(step, status, time.monotonic() - started, output)


def side_by_side(*lanes: Sequence[Step]) -> Iterator[Result]:
    """Run lanes beside each other, each lane's steps in turn; results come as steps end.

    A step that fails stops no other: one run shows everything that is wrong. After Ctrl-C, which
    the running commands receive as well, no further step begins.
    """
    results: SimpleQueue[Result | BaseException | object] = SimpleQueue()
    stopped = Event()

    def work(lane: Sequence[Step]) -> None:
        try:
            for step in lane:
                if stopped.is_set():
                    break
                results.put(run(step))
        except BaseException as error:
            results.put(error)
        finally:
            results.put(DONE)

    with ThreadPoolExecutor(max(1, len(lanes))) as pool:
        for lane in lanes:
            pool.submit(work, lane)
        try:
            running = len(lanes)
            while running:
                result = results.get()
                if isinstance(result, BaseException):
                    raise result
                if isinstance(result, Result):
                    yield result
                else:
                    running -= 1
        finally:
            stopped.set()


def show(results: Iterator[Result]) -> bool:
    """Print a line for each result, and the output of those that failed.

    Returns:
        Whether all passed.
    """
    is_well = True
    for result in results:
        verdict = "" if result.status == 0 else f"  FAILED ({result.status})"
        note = f"  {result.step.note}" if result.step.note else ""
        print(f"  {result.step.name:<14}{result.seconds:6.1f} s{verdict}{note}", flush=True)
        if result.status:
            is_well = False
            print(result.output.rstrip(), flush=True)
    return is_well
