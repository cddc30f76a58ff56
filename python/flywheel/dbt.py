"""Runs dbt in this process and turns its outcome into something a person can read."""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any

from flywheel.errors import FlywheelError
from flywheel.settings import Settings

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
    full_refresh: bool = False,
    on_progress: Progress | None = None,
) -> BuildSummary:
    """Run `dbt build`, `dbt run` or `dbt test` on the project.

    Args:
        settings: names the project, the home folder and the warehouse.
        command: build, run, test or seed.
        variables: dbt vars; only those that differ from dbt_project.yml need to be given.
        select: dbt selectors; empty means everything.
        exclude: dbt selectors to leave out.
        full_refresh: rebuild incremental models from nothing.
        on_progress: called as (nodes done, nodes in all, name of the node just done).

    Returns:
        Counts of what was built and tested.

    Raises:
        FlywheelError: dbt could not start, a model failed or a test failed.
    """
    from dbt.cli.main import dbtRunner  # dbt takes seconds to import; score and status do without

    settings.database.parent.mkdir(parents=True, exist_ok=True)
    arguments = ["--quiet", "--no-use-colors", "--no-write-json", command]
    arguments += ["--project-dir", str(settings.project), "--profiles-dir", str(settings.project)]
    arguments += ["--target-path", str(settings.home / "target")]
    arguments += ["--log-path", str(settings.home / "logs")]
    if variables:
        arguments += ["--vars", json.dumps(dict(variables))]
    for flag, names in (("--select", select), ("--exclude", exclude)):
        if names:
            arguments += [flag, *names]
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
    with _environment(settings), redirect_stdout(output), redirect_stderr(output):
        try:
            outcome = dbtRunner(callbacks=[heard]).invoke(arguments)
        finally:
            _release_warehouse()
    results = list(outcome.result) if outcome.result is not None else []
    failures = [r for r in results if r.status in ("error", "fail", "runtime error")]
    if failures:
        raise FlywheelError(_failure_sentence(failures))
    if not outcome.success:
        raise FlywheelError(_start_sentence(outcome.exception, output.getvalue()))
    return _summary(results)


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


def _failure_sentence(failures: Sequence[Any]) -> str:
    first = failures[0]
    kind = {"test": "Data test", "unit_test": "Unit test"}.get(first.node.resource_type, "Model")
    more = f" ({len(failures) - 1} more failed)" if len(failures) > 1 else ""
    if kind == "Data test":
        rows = first.failures or 0
        return (
            f"{kind} {first.node.name} found {rows} row{'' if rows == 1 else 's'} that break its "
            f"rule{more}; look at them with the query in {first.node.original_file_path}, and "
            "mend the input or the model."
        )
    return (
        f"{kind} {first.node.name} failed{more}: {_essence(first.message or '')} "
        f"(see {first.node.original_file_path})."
    )


def _start_sentence(exception: BaseException | None, output: str) -> str:
    text = str(exception) if exception is not None and str(exception) else output
    if "lock" in text.lower() and "database" in text.lower() and "conflicting" in text.lower():
        return (
            "The warehouse is held by another process; "
            "close it (an open DuckDB shell counts) and try again."
        )
    return _essence(text) or "dbt stopped without saying why; run `dbt build` to see its output."


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
