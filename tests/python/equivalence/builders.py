"""Two ways to build a warehouse: with dbt itself, and by replaying what dbt executes.

A run of dbt takes seconds, most of them spent around the statements: rendering, comparing
catalogs, writing comments. The statements of a model do not depend on the data (what is new is
computed from tables when they run), so they are recorded once for each kind of run and executed
again on as many logs as there are. The hooks of a run do depend on the data (they list files), so
they are rendered by dbt anew, against the replayed warehouse.
"""

import copy
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow as pa

from equivalence.comparison import read_tables
from equivalence.schedules import BACKFILL_RANGE, Step
from flywheel.dbt import parse
from flywheel.settings import Settings

PROJECT = Path(__file__).resolve().parents[3]
CATALOG = "memory"
"""Name of an in-memory catalog, and so of the recorded file: both stand in the statements."""

DEPLOYMENT = (
    "'d1', 'ranker-1', 'ranker-2', 'salt', 'user_id', 0.5, timestamp '2026-03-01 00:00:00', "
    "null, null, null"
)
"""A canary that runs through the small logs, in the columns of flywheel_state.deployments."""


ALSO = ("backfill", "refresh")


class BuildError(AssertionError):
    """A run failed that should not have."""


@dataclass(frozen=True)
class Kind:
    """What decides which statements a run executes.

    Attributes:
        existing: the tables stood before.
        full_refresh: `--full-refresh`.
        backfill: the backfill vars are set.
    """

    existing: bool
    full_refresh: bool = False
    backfill: bool = False


@dataclass
class Recording:
    """A run of dbt: the statements of its models, and what its hooks need to run again."""

    statements: list[str]
    manifest: Any
    adapter: Any
    flags: Any
    hooks: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def schemas(self) -> set[str]:
        """Of the models."""
        nodes = self.manifest.nodes.values()
        return {node.schema for node in nodes if node.resource_type == "model"}


class Dbt:
    """dbt in this process, on the project as it was parsed last.

    Args:
        scratch: folder for dbt's own files.
        log: folder that the path vars name.
        variables: dbt vars beside the path vars.
        select: dbt selectors of what is built; empty means everything.
    """

    def __init__(
        self,
        scratch: Path,
        log: Path,
        variables: Mapping[str, Any],
        select: Sequence[str] = (),
    ) -> None:
        self.scratch = scratch
        self.log = log
        self.select = tuple(select)
        self.project = PROJECT
        self.variables = {
            "ranking_features": "",
            "raw_queries": str(log),
            "raw_events": str(log),
            "flat_log": str(log),
            **variables,
        }
        scratch.mkdir(parents=True, exist_ok=True)

    def invoke(
        self, database: Path, *command: str, backfill: bool = False, threads: int = 2
    ) -> Any:
        """Run a dbt command on a warehouse; a failure raises `BuildError` with what dbt said."""
        from dbt.cli.main import dbtRunner

        variables = self.variables | (
            {"backfill_start": BACKFILL_RANGE[0], "backfill_end": BACKFILL_RANGE[1]}
            if backfill
            else {}
        )
        quietly = ["--quiet", "--no-use-colors", "--no-write-json", "--log-level-file", "none"]
        around = ["--vars", json.dumps(variables), "--threads", str(threads)]
        around += ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
        around += ["--target-path", str(self.scratch / "target")]
        around += ["--log-path", str(self.scratch / "logs")]
        said = StringIO()
        settings = Settings(PROJECT, self.scratch, database)
        with _surroundings(settings), redirect_stdout(said), redirect_stderr(said):
            self.manifest = parse(settings)
            outcome = dbtRunner(manifest=self.manifest).invoke([*quietly, *command, *around])
        if not outcome.success:
            failed = [
                f"{r.node.name}: {r.message}"
                for r in outcome.result or []
                if r.status not in ("success", "pass", "skipped")
            ]
            said_last = said.getvalue()[-2000:]
            raise BuildError(f"dbt {' '.join(command)}: {outcome.exception} {failed} {said_last}")
        return outcome.result

    def run(self, database: Path, step: Step, threads: int = 2) -> None:
        """What `dbt run` does in a step (its end, not its kill)."""
        select = step.select or self.select
        command = ["run", *(["--select", *select] if select else [])]
        if step.full_refresh:
            command.append("--full-refresh")
        self.invoke(database, *command, backfill=step.backfill, threads=threads)

    def seed(self, database: Path) -> None:
        """Load the seeds, and announce the canary."""
        release()
        database.parent.mkdir(parents=True, exist_ok=True)
        self.invoke(database, "seed")
        release()
        with duckdb.connect(str(database)) as connection:
            announce_canary(connection)


def release() -> None:
    """Close the file that the adapter keeps open after a run."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    if DuckDBConnectionManager._ENV is not None:
        DuckDBConnectionManager.env().close()
        DuckDBConnectionManager.close_all_connections()


def announce_canary(connection: duckdb.DuckDBPyConnection) -> None:
    """A running canary, in the columns that the project's own hook gives the table."""
    macro = (PROJECT / "macros/builds/create_state_tables.sql").read_text()
    columns = re.search(r"'deployments': '([^']*)'", macro)
    assert columns is not None, "create_state_tables no longer names the deployments' columns"
    connection.execute("create schema if not exists flywheel_state")
    connection.execute(f"create table flywheel_state.deployments ({columns[1]})")
    connection.execute(f"insert into flywheel_state.deployments values ({DEPLOYMENT})")


class Recorder:
    """Records runs of dbt over a log folder that already holds files."""

    def __init__(self, dbt: Dbt) -> None:
        self.dbt = dbt
        self.database = dbt.scratch / "record" / f"{CATALOG}.duckdb"

    def record(self, also: Sequence[str] = ALSO) -> tuple[list[str], dict[Kind, Recording]]:
        """Statements of the seeds, and a recording for each kind of run.

        Args:
            also: of `ALSO`, the kinds to record beside first runs, later runs and rebuilds.

        Raises:
            BuildError: two later runs differ in their statements, so that a replay would not be
                what dbt does.
        """
        found = {}
        self._start_anew()
        found[Kind(False, full_refresh=True)] = self._run(Step(full_refresh=True))
        seeds = self._start_anew()
        found[Kind(False)] = self._run(Step())
        first, second = self._run(Step()), self._run(Step())
        changed = [
            f"{a}\nbut then\n{b}"
            for a, b in zip(first.statements, second.statements, strict=False)
            if a != b
        ]
        if changed or len(first.statements) != len(second.statements):
            raise BuildError(
                "Two runs executed different statements: "
                f"{changed[:1] or (len(first.statements), len(second.statements))}"
            )
        found[Kind(True)] = second
        if "backfill" in also:
            found[Kind(True, backfill=True)] = self._run(Step(backfill=True))
        if "refresh" in also:
            found[Kind(True, full_refresh=True)] = self._run(Step(full_refresh=True))
        release()
        return seeds, found

    def _start_anew(self) -> list[str]:
        release()
        shutil.rmtree(self.database.parent, ignore_errors=True)
        self.database.parent.mkdir(parents=True)
        seeds = self._listen("seed").statements
        release()
        with duckdb.connect(str(self.database)) as connection:
            announce_canary(connection)
        return seeds

    def _run(self, step: Step) -> Recording:
        select = ["--select", *self.dbt.select] if self.dbt.select else []
        refresh = ["--full-refresh"] if step.full_refresh else []
        return self._listen("run", *select, *refresh, backfill=step.backfill)

    def _listen(self, *command: str, backfill: bool = False) -> Recording:
        from dbt.adapters.duckdb.environments.local import DuckDBCursorWrapper
        from dbt.adapters.factory import FACTORY
        from dbt.flags import get_flags

        heard: list[str] = []
        executes = DuckDBCursorWrapper.execute
        main = threading.main_thread()

        def execute(self: Any, sql: str, bindings: Any = None) -> Any:
            # The main thread runs the hooks, which are not replayed but run again; a pool makes
            # the schemas and looks at the catalog; the nodes have a thread of their own.
            thread = threading.current_thread()
            in_pool = thread.name.startswith("ThreadPoolExecutor")
            makes_schema = _without_comment(sql).lower().startswith("create schema")
            if thread is not main and (makes_schema or not in_pool):
                assert bindings is None, sql
                heard.append(sql)
            return executes(self, sql, bindings)

        DuckDBCursorWrapper.execute = execute
        try:
            self.dbt.invoke(self.database, *command, backfill=backfill, threads=1)
        finally:
            DuckDBCursorWrapper.execute = executes
        manifest = self.dbt.manifest
        hooks = {
            moment: sorted(
                (
                    node
                    for node in manifest.nodes.values()
                    if node.resource_type == "operation" and moment in node.tags
                ),
                key=lambda node: node.index,
            )
            for moment in ("on-run-start", "on-run-end")
        }
        statements = [_unstamped(_without_comment(sql)) for sql in heard if _changes_something(sql)]
        return Recording(statements, manifest, FACTORY.adapters["duckdb"], get_flags(), hooks)


class Replayed:
    """A warehouse in memory, built by replaying recorded runs.

    Args:
        dbt: whose runs were recorded.
        seeds: statements that load the seeds.
        recordings: of every kind of run.
    """

    def __init__(
        self, dbt: Dbt, seeds: Sequence[str], recordings: Mapping[Kind, Recording]
    ) -> None:
        self._dbt = dbt
        self._recordings = recordings
        self._connection = duckdb.connect(":memory:", config={"threads": 1})
        self._connection.execute("set TimeZone = 'UTC'")
        self._is_built = False
        for statement in seeds:
            self._connection.execute(statement)
        announce_canary(self._connection)

    def run(self, step: Step) -> None:
        """Do what `dbt run` does in a step; a killed one stops between two statements."""
        kind = Kind(self._is_built, step.full_refresh, step.backfill and self._is_built)
        recording = self._recordings[kind]
        statements = recording.statements
        if step.killed_at is not None:
            statements = statements[: int(step.killed_at * len(statements))]
        with self._live(recording) as hook:
            for node in recording.hooks["on-run-start"]:
                hook(node, {})
            self._drop_leftovers()
            self._execute(statements, shuffled=step.rows_shuffled)
            if step.killed_at is None:
                results = [
                    SimpleNamespace(
                        status="success", node=node, thread_id="Thread-1", execution_time=0.0
                    )
                    for node in recording.manifest.nodes.values()
                    if node.resource_type == "model"
                ]
                for node in recording.hooks["on-run-end"]:
                    hook(node, {"results": results, "schemas": [], "database_schemas": []})
                self._is_built = True

    def tables(self, names: Sequence[str]) -> dict[str, pa.Table]:
        """Public tables."""
        return read_tables(self._connection, names)

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """To look closer."""
        return self._connection

    def close(self) -> None:
        """Give the memory back."""
        self._connection.close()

    def _execute(self, statements: Sequence[str], *, shuffled: bool) -> None:
        cursor = self._connection.cursor()
        cursor.execute("set TimeZone = 'UTC'")
        in_transaction = False
        written: set[str] = set()
        try:
            for statement in statements:
                try:
                    cursor.execute(statement)
                except duckdb.Error as error:
                    raise BuildError(f"{error}\nin\n{statement}") from error
                word = statement.strip().upper()
                in_transaction = (in_transaction or word == "BEGIN") and word != "COMMIT"
                if shuffled:
                    written |= _tables_written(statement)
                    if not in_transaction:
                        for table in sorted(written):
                            _shuffle(cursor, table)
                        written.clear()
            if in_transaction:
                cursor.execute("rollback")
        finally:
            cursor.close()

    def _drop_leftovers(self) -> None:
        """What dbt does itself, table by table, with the leftovers of a killed run."""
        rows = self._connection.execute(
            "select table_schema, table_name, if(table_type = 'VIEW', 'view', 'table') "
            "from information_schema.tables "
            "where table_name like '%\\_\\_dbt\\_%' escape '\\'"
        ).fetchall()
        for schema, name, kind in rows:
            self._connection.execute(f'drop {kind} if exists "{schema}"."{name}" cascade')

    @contextmanager
    def _live(self, recording: Recording) -> Iterator[Any]:
        """Let dbt run hooks against this warehouse, as in the recorded run but now."""
        from dbt import tracking
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        from dbt.adapters.duckdb.environments.local import LocalEnvironment
        from dbt.adapters.factory import FACTORY
        from dbt.compilation import Compiler
        from dbt.flags import get_flags, set_flags
        from dbt_common.events import event_manager_client
        from dbt_common.events.event_manager import EventManager
        from dbt_common.invocation import reset_invocation_id

        adapter = recording.adapter
        environment = LocalEnvironment(adapter.config.credentials)
        environment.conn = self._connection.cursor()
        environment._keep_open = True
        flags, events = get_flags(), event_manager_client.get_event_manager()
        compiler = Compiler(adapter.config)

        def hook(node: Any, extra: dict[str, Any]) -> None:
            compiled = compiler.compile_node(
                copy.deepcopy(node), recording.manifest, extra, write=False
            )
            if (compiled.compiled_code or "").strip():
                adapter.execute(compiled.compiled_code, auto_begin=False, fetch=False)

        said = StringIO()
        release()
        FACTORY.adapters["duckdb"] = adapter
        DuckDBConnectionManager._ENV = environment
        set_flags(recording.flags)
        event_manager_client.ctx_set_event_manager(EventManager())  # hears nothing, says nothing
        reset_invocation_id()
        if tracking.active_user is not None:
            tracking.active_user.run_started_at = datetime.now(UTC)
        try:
            settings = Settings(PROJECT, self._dbt.scratch, Path(f"{CATALOG}.duckdb"))
            with (
                _surroundings(settings),
                redirect_stdout(said),
                redirect_stderr(said),
                adapter.connection_named("master"),
            ):
                # As at the start of a run: what exists is looked up once, outside a transaction.
                adapter.cache.clear()
                for schema in recording.schemas:
                    adapter.list_relations(CATALOG, schema)
                adapter.clear_transaction()
                yield hook
        finally:
            adapter.cleanup_connections()
            DuckDBConnectionManager._ENV = None
            set_flags(flags)
            event_manager_client.ctx_set_event_manager(events)


def _changes_something(sql: str) -> bool:
    """Not a look at the catalog, and not a comment on a table."""
    words = _without_comment(sql).split(None, 2)
    return bool(words) and words[0].lower() not in ("select", "describe", "comment", "show")


def _tables_written(sql: str) -> set[str]:
    """Tables of models that a statement creates, fills or gives their name."""
    found = re.findall(
        r"(?:create +table|insert into|delete from|alter table)\s+"
        rf'"{CATALOG}"\."(main\w*)"\."(\w+)"(?:\s+rename to "?(\w+))?',
        sql,
    )
    tables = {(schema, renamed or name) for schema, name, renamed in found}
    return {f'"{schema}"."{name}"' for schema, name in tables if "__dbt_" not in name}


def _shuffle(cursor: duckdb.DuckDBPyConnection, table: str) -> None:
    """Rewrite a table with its rows in another order, which must not matter to any reader."""
    exists = cursor.execute(
        "select 1 from information_schema.tables where table_type = 'BASE TABLE' "
        """and concat('"', table_schema, '"."', table_name, '"') = ?""",
        [table],
    ).fetchone()
    if exists:
        cursor.execute(
            f"create or replace table {table} as from {table} as t order by md5(cast(t as varchar))"
        )


def _without_comment(sql: str) -> str:
    """The statement without the JSON comment that dbt puts before it."""
    return re.sub(r"\A\s*/\*.*?\*/\s*", "", sql, flags=re.DOTALL).strip()


def _unstamped(sql: str) -> str:
    """The statement without the time that dbt adds to the names of its temporary tables."""
    return re.sub(r"(__dbt_tmp)\d+", r"\1", sql)


@contextmanager
def _surroundings(settings: Settings) -> Iterator[None]:
    """Environment and folder that dbt expects."""
    given = settings.environment()
    before = {name: os.environ.get(name) for name in given}
    folder = os.getcwd()
    os.environ.update(given)
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
