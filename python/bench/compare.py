"""Do two revisions of the project build the same public tables from the same log?

    python -m bench.compare REV1 REV2 --sample
    python -m bench.compare main . --log LOG --format flat
    python -m bench.compare main . --home .flywheel

A revision is what git calls one, or a folder that holds the project. Each is built by its own code
in a warehouse of its own, with the packages that run this. Every public table is then compared row
by row, both ways, in the columns that both have. Tables of models, evaluations and canaries have
rows only where Python has written what they are built from: with `--home`, both sides get what
that home's turns have left.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import duckdb
import yaml

from bench.process import DBT, measure
from flywheel import variables
from flywheel.errors import FlywheelError
from flywheel.inputs import log_formats
from flywheel.settings import Settings, load_settings
from flywheel.terminal import Terminal

LISTED = Path("python", "flywheel", "contract", "public_tables.yml")
SAMPLE = Path("seeds", "sample_log")

STATE = (
    *("model_versions", "registry_events", "behavior_snapshots", "deployments", "evaluations"),
    *("ranker_scores", "candidate_scores", "iterations", "forgotten_visitors"),
    "validation_results",
)
"""Tables of schema flywheel_state that builds read and do not write."""

NOT_COMPARED: Mapping[str, Mapping[str, str]] = {}
"""Columns left out of the comparison: by table, column and reason."""


@dataclass(frozen=True)
class Difference:
    """What differs in one public table.

    Attributes:
        table: its name.
        n_left: rows that only the left warehouse has, counted with repetitions.
        n_right: rows that only the right one has.
        columns: columns in whose values the tables differ.
        largest: of those that are doubles, the largest relative difference, where the columns that
            do not differ tell which rows belong together.
        left_columns: columns that only the left table has.
        right_columns: columns that only the right one has.
        missing: 'left' or 'right' where the table stands on the other side alone.
    """

    table: str
    n_left: int = 0
    n_right: int = 0
    columns: tuple[str, ...] = ()
    left_columns: tuple[str, ...] = ()
    right_columns: tuple[str, ...] = ()
    missing: str = ""
    largest: Mapping[str, float] = field(default_factory=dict)

    def sentence(self) -> str:
        """For people."""
        if self.missing:
            return f"{self.table}: not there on the {self.missing}"
        parts = []
        if self.n_left or self.n_right:
            named = [
                f"{name} by up to {self.largest[name]:.1e}" if name in self.largest else name
                for name in self.columns
            ]
            where = f" (in {', '.join(named)})" if named else " (rows, not values)"
            parts.append(f"{self.n_left} rows only left, {self.n_right} only right{where}")
        for side, names in (("left", self.left_columns), ("right", self.right_columns)):
            if names:
                parts.append(f"columns only {side}: {', '.join(names)}")
        return f"{self.table}: {'; '.join(parts)}"


@dataclass(frozen=True)
class Comparison:
    """Two warehouses.

    Attributes:
        n_rows: rows of the left warehouse by public table.
        differences: tables that differ.
    """

    n_rows: Mapping[str, int]
    differences: Sequence[Difference]


def compare_warehouses(
    left: Path,
    right: Path,
    tables: Sequence[str],
    *,
    left_out: Mapping[str, Mapping[str, str]] = NOT_COMPARED,
) -> Comparison:
    """Compare tables of two DuckDB files by `except all`, both ways.

    Args:
        left: a warehouse.
        right: another.
        tables: names, which stand in schema main.
        left_out: columns that are not compared, by table, with the reason.
    """
    n_rows: dict[str, int] = {}
    differences = []
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach '{_quoted(left)}' as left_side (read_only)")
        connection.execute(f"attach '{_quoted(right)}' as right_side (read_only)")
        for table in tables:
            columns = {
                side: _columns(connection, f"{side}_side", table) for side in ("left", "right")
            }
            absent = [side for side, names in columns.items() if not names]
            if absent:
                if len(absent) == 1:
                    differences.append(Difference(table, missing=absent[0]))
                continue
            ((n_rows[table],),) = connection.execute(
                f"select count(*) from left_side.main.{table}"
            ).fetchall()
            difference = _difference(connection, table, columns, left_out.get(table, {}))
            if difference != Difference(table):
                differences.append(difference)
    return Comparison(n_rows, differences)


def _columns(connection: duckdb.DuckDBPyConnection, catalog: str, table: str) -> dict[str, str]:
    """Columns of a table with their types; none where it does not stand."""
    rows = connection.execute(
        "select column_name, data_type from duckdb_columns() where database_name = ? "
        "and schema_name = 'main' and table_name = ? order by column_index",
        [catalog, table],
    ).fetchall()
    return dict(rows)


def _difference(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    columns: Mapping[str, Mapping[str, str]],
    left_out: Mapping[str, str],
) -> Difference:
    """What differs in a table that stands on both sides."""
    left, right = columns["left"], columns["right"]
    common = [name for name in left if name in right and name not in left_out]
    n_left = _only(connection, table, "left", "right", common)
    n_right = _only(connection, table, "right", "left", common)
    differing = []
    if n_left or n_right:
        differing = [
            name
            for name in common
            if _only(connection, table, "left", "right", [name])
            or _only(connection, table, "right", "left", [name])
        ]
    doubles = [name for name in differing if left[name] == right[name] == "DOUBLE"]
    same = [name for name in common if name not in differing]
    return Difference(
        table,
        largest=_largest(connection, table, same, doubles) if same and doubles else {},
        n_left=n_left,
        n_right=n_right,
        columns=tuple(differing),
        left_columns=tuple(name for name in left if name not in right),
        right_columns=tuple(name for name in right if name not in left),
    )


def _largest(
    connection: duckdb.DuckDBPyConnection, table: str, same: Sequence[str], doubles: Sequence[str]
) -> dict[str, float]:
    """Largest relative difference of doubles between rows that agree in the other columns."""
    keys = ", ".join(f'"{name}"' for name in same)
    ((n_rows, n_keys),) = connection.execute(
        f"""
        select
            (select count(*) from left_side.main.{table}),
            (select count(*) from (select distinct {keys} from left_side.main.{table}))
        """
    ).fetchall()
    if n_rows != n_keys:
        return {}
    pairs = " and ".join(f'l."{name}" is not distinct from r."{name}"' for name in same)
    largest = ", ".join(
        f'max(abs(l."{name}" - r."{name}") / greatest(abs(l."{name}"), abs(r."{name}"), 1e-300))'
        for name in doubles
    )
    ((*found,),) = connection.execute(
        f"select {largest} from left_side.main.{table} as l "
        f"inner join right_side.main.{table} as r on {pairs}"
    ).fetchall()
    return {
        name: float(value) for name, value in zip(doubles, found, strict=True) if value is not None
    }


def _only(
    connection: duckdb.DuckDBPyConnection, table: str, here: str, there: str, names: Sequence[str]
) -> int:
    """How many rows stand here and not there, in these columns."""
    if not names:
        return 0
    listed = ", ".join(f'"{name}"' for name in names)
    ((count,),) = connection.execute(
        f"""
        select count(*)
        from (
            select {listed} from {here}_side.main.{table}
            except all
            select {listed} from {there}_side.main.{table}
        )
        """
    ).fetchall()
    return int(count)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def public_tables(*projects: Path) -> list[str]:
    """Names of the public tables of any of the projects."""
    listed = [
        yaml.safe_load((project / LISTED).read_text(encoding="utf-8")) for project in projects
    ]
    return list(dict.fromkeys(name for tables in listed for name in tables))


def copy_state(warehouse: Path, new: Path) -> None:
    """Begin a warehouse with what Python has written into another.

    Args:
        warehouse: to read from.
        new: the file to make.
    """
    with duckdb.connect(str(new)) as connection:
        connection.execute(f"attach '{_quoted(warehouse)}' as written (read_only)")
        connection.execute("create schema flywheel_state")
        there = connection.execute(
            "select table_name from duckdb_tables() "
            "where database_name = 'written' and schema_name = 'flywheel_state'"
        ).fetchall()
        for (name,) in there:
            if name in STATE:
                connection.execute(
                    f"create table flywheel_state.{name} as from written.flywheel_state.{name}"
                )


def build(
    project: Path, home: Path, given: Mapping[str, Any], *, state: Path | None = None
) -> Path:
    """Build seeds and models of a project, without tests, by its own code.

    Args:
        project: its folder.
        home: where the warehouse goes; made anew.
        given: dbt vars.
        state: a warehouse whose models, scores and deployments it begins with.

    Returns:
        The warehouse.

    Raises:
        FlywheelError: the build failed; the sentence ends with its last line.
    """
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    settings = Settings(project, home, home / "warehouse.duckdb")
    if state is not None:
        copy_state(state, settings.database)
    command = [sys.executable, "-c", DBT, "build", "--quiet"]
    command += ["--resource-type", "model", "--resource-type", "seed"]
    command += ["--vars", json.dumps(dict(given)), "--project-dir", str(project)]
    command += ["--target-path", str(home / "target"), "--log-path", str(home / "logs")]
    measure(f"build of {project}", command, settings, code=project / "python")
    return settings.database


def compare_projects(
    left: Path,
    right: Path,
    given: Mapping[str, Any],
    folder: Path,
    terminal: Terminal,
    *,
    state: Path | None = None,
) -> Comparison:
    """Build a log with two versions of the project, and compare their public tables.

    Args:
        left: folder of a project.
        right: folder of another.
        given: dbt vars, with paths from the root, so that both read the same files.
        folder: where the warehouses go.
        terminal: for progress.
        state: as in `build`.

    Raises:
        FlywheelError: a build failed.
    """
    databases = []
    for side, project in (("left", left), ("right", right)):
        with terminal.step(f"Build {side}") as step:
            databases.append(build(project, folder / side, given, state=state))
            step.result = f"{databases[-1].stat().st_size / 1e6:,.0f} MB"
    with terminal.step("Compare") as step:
        found = compare_warehouses(*databases, public_tables(left, right))
        step.result = f"{sum(found.n_rows.values()):,} rows in {len(found.n_rows)} tables"
    return found


@contextmanager
def checked_out(revision: str, folder: Path) -> Iterator[Path]:
    """The project at a revision, in a worktree that is removed afterwards; or the folder named.

    Args:
        revision: what git calls one, or a folder with a project in it.
        folder: where the worktree goes.

    Raises:
        FlywheelError: it is neither.
    """
    if (Path(revision) / "dbt_project.yml").exists():
        yield Path(revision).resolve()
        return
    repository = load_settings().project
    added = _git(repository, "worktree", "add", "--detach", str(folder), revision)
    if added.returncode != 0:
        said = (added.stderr.strip().splitlines() or ["nothing"])[-1]
        raise FlywheelError(
            f"{revision} is neither a folder with a project nor a revision; git said: {said}"
        )
    try:
        yield folder
    finally:
        _git(repository, "worktree", "remove", "--force", str(folder))


def _git(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", "-C", str(repository), *arguments], capture_output=True, text=True, check=False
    )


def sample_vars(project: Path, folder: Path) -> dict[str, Any]:
    """Vars that name a copy of the project's sample log: one path and one time for both sides."""
    copy = folder / "sample_log"
    shutil.copytree(project / SAMPLE, copy)
    return {
        "log_format": "ubi",
        "raw_queries": str(copy / "ubi_queries.ndjson.gz"),
        "raw_events": str(copy / "ubi_events.ndjson.gz"),
        "ranking_features": str(copy / "ranking_features.parquet"),
    }


@click.command()
@click.argument("revision_1")
@click.argument("revision_2")
@click.option("--log", type=click.Path(exists=True), help="File, glob or folder.")
@click.option(
    "--format",
    "log_format",
    type=click.Choice(sorted(log_formats())),
    default="ubi",
    show_default=True,
)
@click.option("--features", type=click.Path(exists=True), help="Ranking features of the log.")
@click.option("--sample", is_flag=True, help="The first revision's sample log.")
@click.option(
    "--home",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The log of a flywheel's home, with the models and deployments of its turns.",
)
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def compare(
    revision_1: str,
    revision_2: str,
    log: str | None,
    log_format: str,
    features: str | None,
    sample: bool,
    home: Path | None,
    as_json: bool,
) -> None:
    """Compare the public tables that two revisions build; exit 1 where any differs."""
    if [sample, log is not None, home is not None].count(True) != 1:
        raise click.UsageError("Give one of --log, --sample and --home.")
    terminal = Terminal(quiet=as_json)
    folder = Path(tempfile.mkdtemp(prefix="flywheel-compare-"))
    try:
        with (
            checked_out(revision_1, folder / "one") as left,
            checked_out(revision_2, folder / "two") as right,
        ):
            state = None
            if home is not None:
                state = home.resolve() / "warehouse.duckdb"
                given = variables.remembered(Settings(left, home.resolve(), state))
            elif log is not None:
                given = variables.for_log(log, log_format, features)
            else:
                given = sample_vars(left, folder)
            found = compare_projects(left, right, given, folder, terminal, state=state)
    except FlywheelError as error:
        raise SystemExit(f"flywheel: {error}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        rows = {
            d.table: {name: value for name, value in vars(d).items() if name != "table"}
            for d in found.differences
        }
        click.echo(json.dumps({"n_rows": found.n_rows, "differences": rows}, indent=2))
    else:
        for difference in found.differences:
            terminal.line(difference.sentence())
        terminal.line(
            f"{len(found.differences)} public tables differ; {sum(found.n_rows.values()):,} rows "
            f"of {len(found.n_rows)} tables were compared."
        )
    sys.exit(bool(found.differences))


if __name__ == "__main__":
    compare()
