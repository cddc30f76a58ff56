"""One step is one command: it takes some seconds, and passes or shows what it printed."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Lock

from check import PROJECT


@dataclass(frozen=True)
class Step:
    """A command that proves something.

    Attributes:
        name: what the line about it begins with.
        command: program and arguments; none if there is nothing to do.
        environment: variables on top of this process's own.
        passed: called at once when the command has succeeded.
        note: said behind the seconds.
    """

    name: str
    command: Sequence[str] = ()
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


class _Commands:
    """The commands that run now, so that all can be ended when the check is."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._is_stopped = False
        self._lock = Lock()  # no command may begin unseen while all are ended

    def run(self, step: Step) -> Result | None:
        """Run a step and wait for it; nothing after `stop`."""
        started = time.monotonic()
        status, output = 0, ""
        if step.command:
            process = self._begin(step)
            if process is None:
                return None
            with process:
                output, _ = process.communicate()
            self._running.discard(process)
            status = process.returncode
        if status == 0 and step.passed is not None:
            step.passed()
        return Result(step, status, time.monotonic() - started, output)

    def stop(self) -> None:
        """End what runs, and let nothing begin."""
        with self._lock:
            self._is_stopped = True
            for process in list(self._running):
                process.terminate()

    def _begin(self, step: Step) -> subprocess.Popen[str] | None:
        paths = os.pathsep.join(str(PROJECT / folder) for folder in ("python", "tests/python"))
        with self._lock:
            if self._is_stopped:
                return None
            process = subprocess.Popen(
                step.command,
                cwd=PROJECT,
                env=os.environ | {"PYTHONPATH": paths} | step.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            self._running.add(process)
            return process


def python(*arguments: str) -> tuple[str, ...]:
    """The command that runs this Python with the arguments."""
    return (sys.executable, *arguments)


def side_by_side(*lanes: Sequence[Step]) -> Iterator[Result]:
    """Run lanes beside each other, each lane's steps in turn; results come as steps end.

    A step that fails stops no other: one run shows everything that is wrong. When the caller is
    interrupted, the running commands are ended and no further one begins.
    """
    commands = _Commands()
    results: SimpleQueue[Result | BaseException | None] = SimpleQueue()

    def work(lane: Sequence[Step]) -> None:
        try:
            for step in lane:
                if (result := commands.run(step)) is not None:
                    results.put(result)
        except BaseException as error:
            results.put(error)
        finally:
            results.put(None)

    with ThreadPoolExecutor(max(1, len(lanes))) as pool:
        for lane in lanes:
            pool.submit(work, lane)
        try:
            n_running = len(lanes)
            while n_running:
                result = results.get()
                if result is None:
                    n_running -= 1
                elif isinstance(result, Result):
                    yield result
                else:
                    raise result
        finally:
            commands.stop()


def show(results: Iterable[Result]) -> set[str]:
    """Print a line for each result, and the output of those that failed.

    Returns:
        Names of the steps that failed.
    """
    failed = set()
    for result in results:
        verdict = f"  FAILED ({result.status})" if result.status else ""
        note = f"  {result.step.note}" if result.step.note else ""
        print(f"  {result.step.name:<14}{result.seconds:6.1f} s{verdict}{note}", flush=True)
        if result.status:
            failed.add(result.step.name)
            print(result.output.rstrip(), flush=True)
    return failed
