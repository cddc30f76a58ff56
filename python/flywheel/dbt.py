"""Runs dbt in this process and turns its outcome into something a person can read."""

import atexit
import gc
import itertools
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from flywheel import parsed
from flywheel.errors import FlywheelError
from flywheel.interruption import interruptible
from flywheel.settings import Settings
from flywheel.warehouse import connect, explained, fault_sentence

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunner, dbtRunnerResult
    from dbt.contracts.graph.manifest import Manifest

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class BuildSummary:
    """What a dbt command did.

    Attributes:
        n_models: models (and seeds) built.
        n_tests: data and unit tests that passed.
        warnings: names of tests that warned.
        seconds: time that the nodes took, summed.
    """

    n_models: int
    n_tests: int
    warnings: tuple[str, ...]
    seconds: float

    def sentence(self) -> str:
        """One line for people."""
        text = f"{self.n_models} models built"
        if self.n_tests:
            text += f", {self.n_tests} tests passed"
        if self.warnings:
            text += f", {len(self.warnings)} warned ({', '.join(self.warnings[:3])})"
        return text


def run_dbt(
    settings: Settings,
    command: str,
    *,
    variables: Mapping[str, Any] | None = None,
    select: Sequence[str] = (),
    exclude: Sequence[str] = (),
    tests: bool = True,
    full_refresh: bool = False,
    on_progress: Progress | None = None,
) -> BuildSummary:
    """Run `dbt build`, `dbt run` or `dbt test` on the project.

    The project is parsed once and then taken as parsed until a file of it changes. Unit tests are
    left out: they look at fixtures, and would say the same whatever the log.

    Args:
        settings: names the project, the home folder and the warehouse.
        command: build, run, test or seed.
        variables: dbt vars; only those that differ from dbt_project.yml need to be given.
        select: dbt selectors; empty means everything.
        exclude: dbt selectors to leave out.
        tests: False for a build of seeds and models alone.
        full_refresh: rebuild incremental models from nothing.
        on_progress: called as (nodes done, nodes in all, name of the node just done).

    Returns:
        Counts of what was built and tested.

    Raises:
        FlywheelError: the warehouse stays locked, cannot be used or its disk is full; dbt could
            not start, a model failed or a test failed.
        KeyboardInterrupt: the user pressed Ctrl-C; what dbt had finished stays.
    """
    is_new = not settings.database.exists()
    if not is_new:
        with connect(settings, read_only=False):
            pass  # waits until nobody else holds the file, and says what is wrong with it
    dbt_runner = _import_dbt()

    settings.database.parent.mkdir(parents=True, exist_ok=True)
    arguments = [command, *_common_arguments(settings)]
    if variables:
        plain = {name: _as_plain_text(value) for name, value in variables.items()}
        arguments += ["--vars", json.dumps(plain)]
    for flag, names in (("--select", select), ("--exclude", exclude)):
        if names:
            arguments += [flag, *names]
    if command == "build" and not tests:
        arguments += ["--resource-type", "model", "--resource-type", "seed"]
    elif command in ("build", "test"):
        arguments += ["--exclude-resource-type", "unit_test"]
    if full_refresh:
        arguments.append("--full-refresh")

    def heard(event: Any) -> None:
        if on_progress is None or event.info.name not in ("LogModelResult", "LogTestResult"):
            return
        if event.info.name == "LogModelResult":
            on_progress(event.data.index, event.data.total, event.data.description)
        else:
            on_progress(event.data.index, event.data.num_models, event.data.name)

    output = StringIO()
    unclosed: duckdb.Error | None = None
    with (
        _environment(settings),
        redirect_stdout(output),
        redirect_stderr(output),
        interruptible() as interruption,
    ):
        try:
            outcome = _parse(settings, dbt_runner)
            if outcome.success:
                outcome = dbt_runner(outcome.result, callbacks=[heard]).invoke(arguments)
        finally:
            try:
                _release_warehouse()
            except duckdb.Error as error:  # what failed before it says more
                unclosed = error
    if is_new:
        _remove_stillborn(settings.database)
    if interruption.is_set():
        raise KeyboardInterrupt
    results = list(outcome.result) if isinstance(outcome.result, Iterable) else []
    failures = [r for r in results if r.status in ("error", "fail", "runtime error")]
    if failures:
        raise FlywheelError(
            _unreadable_file(failures, given=variables or {}, project=settings.project)
            or _failure_sentence(failures, settings)
        )
    if not outcome.success:
        said = output.getvalue()
        raise FlywheelError(_start_sentence(outcome.exception, said, settings.database))
    if unclosed is not None:
        with explained(settings.database):
            raise unclosed
    return _summary(results)


def parse(settings: Settings) -> "Manifest":
    """The project as dbt parses it, from the last time if nothing has changed since.

    Raises:
        FlywheelError: dbt cannot parse the project.
        KeyboardInterrupt: the user pressed Ctrl-C.
    """
    dbt_runner = _import_dbt()
    output = StringIO()
    with (
        _environment(settings),
        redirect_stdout(output),
        redirect_stderr(output),
        interruptible() as interruption,
    ):
        outcome = _parse(settings, dbt_runner)
    if interruption.is_set():
        raise KeyboardInterrupt
    if not outcome.success:
        raise FlywheelError(
            _start_sentence(outcome.exception, output.getvalue(), settings.database)
        )
    return outcome.result


@contextmanager
def _uncollected() -> Iterator[None]:
    """Leave out of garbage collection what comes into being here: it lives as long as the process.

    dbt's classes and a manifest are a million objects, which the collector would walk through again
    and again: a twentieth of a build's time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


def _parse(settings: Settings, dbt_runner: "type[dbtRunner]") -> "dbtRunnerResult":
    """The manifest as the result of `dbt parse`, whether dbt had to run or not.

    It is parsed with the vars of dbt_project.yml: no var shapes it.
    """
    from dbt.cli.main import dbtRunnerResult

    with _uncollected():
        kept = parsed.load(settings)
    if kept is not None:
        return dbtRunnerResult(success=True, result=kept)
    outcome = dbt_runner().invoke(["parse", "--no-partial-parse", *_common_arguments(settings)])
    if outcome.success:
        parsed.keep(settings, outcome.result)
    return outcome


def _common_arguments(settings: Settings) -> list[str]:
    project = str(settings.project)
    arguments = ["--quiet", "--no-use-colors", "--no-write-json"]
    arguments += ["--project-dir", project, "--profiles-dir", project]
    arguments += ["--target-path", str(settings.home / "target")]
    if "DBT_LOG_LEVEL_FILE" not in os.environ:
        # dbt's own default, debug, costs a fifth of a build.
        arguments += ["--log-level-file", "info"]
    return [*arguments, "--log-path", str(settings.home / "logs")]


def _import_dbt() -> "type[dbtRunner]":
    """dbt takes seconds to import; score and status do without.

    Ctrl-C waits for the end of it: libraries that are half imported answer it with errors of
    their own.
    """
    with interruptible(at_once=False) as interruption, _uncollected():
        from dbt.cli import main

        from flywheel.dbt_events import listen

        listen()
        atexit.register(gc.unfreeze)  # or libraries call what was left out of collection leaks
    if interruption.is_set():
        raise KeyboardInterrupt
    return main.dbtRunner


def _unreadable_file(
    failures: Sequence[Any], *, given: Mapping[str, Any], project: Path
) -> str | None:
    """Where a model over the raw files failed: what is wrong with which file, if it is a file."""
    if not any(str(failure.node.name).startswith("stg_") for failure in failures):
        return None
    from flywheel.inputs import unreadable_parquet

    return unreadable_parquet(given, project=project)


def _as_plain_text(value: Any) -> Any:
    """A var's value so that dbt, which renders texts as Jinja, gets back the text it was."""
    return re.sub(r"{(?=[{%#])", "{{ '{' }}", value) if isinstance(value, str) else value


def _remove_stillborn(database: Path) -> None:
    """Remove a warehouse whose first bytes found no room: it holds nothing, and never opens."""
    if database.is_file():
        with database.open("rb") as file:
            is_whole = file.read(12)[8:] == b"DUCK"
        if not is_whole:
            database.unlink()


def _release_warehouse() -> None:
    """Close the file that the adapter keeps open after a run, so that others may have it."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    if DuckDBConnectionManager._ENV is not None:
        DuckDBConnectionManager.env().close()
        DuckDBConnectionManager.close_all_connections()


def _summary(results: Sequence[Any]) -> BuildSummary:
    models = [r for r in results if r.node.resource_type in ("model", "seed")]
    tests = [r for r in results if r.node.resource_type in ("test", "unit_test")]
    return BuildSummary(
        n_models=len([r for r in models if r.status == "success"]),
        n_tests=len([r for r in tests if r.status == "pass"]),
        warnings=tuple(r.node.name for r in tests if r.status == "warn"),
        seconds=sum(r.execution_time for r in results),
    )


def _failure_sentence(failures: Sequence[Any], settings: Settings) -> str:
    # One full disk fails many models, some with words that do not name it: the clearest counts.
    faults = [fault_sentence(failure.message or "", settings.database) for failure in failures]
    named = next((fault for fault in faults if fault is not None), None)
    if named is not None:
        return named
    unusable = next(
        filter(None, (_unusable_log(failure.message or "") for failure in failures)), None
    )
    if unusable is not None:
        return unusable
    first = failures[0]
    kind = {"test": "Data test", "unit_test": "Unit test"}.get(first.node.resource_type, "Model")
    more = f" ({len(failures) - 1} more failed)" if len(failures) > 1 else ""
    if kind == "Data test":
        rows = first.failures or 0
        nulls = _columns_with_nulls(first, settings)
        if nulls:
            return (
                f"{kind} {first.node.name} found nulls in {nulls}{more}; mend the input or the "
                f"model, or take the column from the list in {first.node.original_file_path}."
            )
        return (
            f"{kind} {first.node.name} found {rows} row{'' if rows == 1 else 's'} that break its "
            f"rule{more}; look at them with the query in {first.node.original_file_path}, and "
            "mend the input or the model."
        )
    return (
        f"{kind} {first.node.name} failed{more}: {_essence(first.message or '')} "
        f"(see {first.node.original_file_path})."
    )


def _unusable_log(message: str) -> str | None:
    """What stop_without_usable_rows says of a log, with its sample rows and without dbt's frame."""
    start = message.find("Nothing in the log can be used")
    if start < 0:
        return None
    lines = [line.strip() for line in message[start:].splitlines()]
    first, *others = itertools.takewhile(bool, lines)
    return "\n".join([first, *(f"  {line}" for line in others)])


def _columns_with_nulls(failure: Any, settings: Settings) -> str:
    """Columns and numbers of rows that a failed required_columns found; else an empty text."""
    about = getattr(failure.node, "test_metadata", None)
    if failure.status != "fail" or about is None or about.name != "required_columns":
        return ""
    try:
        with connect(settings) as connection:
            found = connection.execute(failure.node.compiled_code).fetchall()
    except (duckdb.Error, FlywheelError):
        return ""
    return ", ".join(f"{column} ({n} row{'' if n == 1 else 's'})" for column, n in found)


def _start_sentence(exception: BaseException | None, output: str, database: Path) -> str:
    text = str(exception) if exception is not None and str(exception) else output
    if isinstance(exception, OSError) and exception.filename:
        return (
            f"{exception.filename} cannot be used ({exception.strerror}); check the disk's space "
            "and the folder's permissions, then run again."
        )
    fault = fault_sentence(text, database)
    if fault is not None:
        return fault
    setting = _bad_setting(text)
    if setting is not None:
        return setting
    return _essence(text) or "dbt stopped without saying why; run `dbt build` to see its output."


def _bad_setting(text: str) -> str | None:
    """Environment variables that reach dbt through profiles.yml, and what dbt makes of them."""
    for name, words, example in (
        ("FLYWHEEL_MEMORY", r"memory must have|unknown unit for memory|memory.*limit", "4GB"),
        ("FLYWHEEL_THREADS", r"max_workers must be|is not of type 'integer'|threads", "2"),
    ):
        if name in os.environ and re.search(words, text, re.IGNORECASE):
            return f"{name} is {os.environ[name]}; give a value such as {example}."
    return None


def _essence(message: str) -> str:
    """The line of a dbt message that says what happened, without its frame."""
    lines = [
        re.sub(r"\x1b\[[0-9;]*m|^\d\d:\d\d:\d\d\s*", "", line) for line in message.splitlines()
    ]
    frames = re.compile(
        r"^\s*(>|compiled code at|LINE \d|\^|Encountered an error|Compilation Error|"
        r"(Database|Runtime|Dbt Runtime) Error( in .*)?$|$)",
        re.IGNORECASE,
    )
    useful = [line.strip() for line in lines if line.strip() and not frames.match(line)]
    return useful[0].rstrip(".") + "." if useful else ""


@contextmanager
def _environment(settings: Settings) -> Iterator[None]:
    """The project's folder and paths, as dbt expects them, for as long as dbt runs."""
    before = {name: os.environ.get(name) for name in settings.environment()}
    folder = os.getcwd()
    os.environ.update(settings.environment())
    os.chdir(settings.project)
    try:
        yield
    finally:
        os.chdir(folder)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
