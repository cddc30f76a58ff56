"""Removes a person from every table and file that the project owns, and proves it.

The order makes it safe to stop anywhere: the list of hashes and the removal from staging are one
transaction; from then on every build leaves the person out, and the command, given again, goes on.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flywheel import loop, variables
from flywheel.errors import FlywheelError
from flywheel.files import atomic_path
from flywheel.forget import logs, proof, rows
from flywheel.forget.ids import Forgotten
from flywheel.settings import Settings
from flywheel.terminal import Terminal
from flywheel.warehouse import connect

LOG_VARS = ("log_format", "raw_queries", "raw_events", "flat_log", "address_salt")
"""As in macro `log_vars`."""
_EXAMPLES = ("data_docs", "great_expectations")
_MADE_AGAIN = ("reports", "target", "logs")


@dataclass(frozen=True)
class Outcome:
    """What was removed, and what the proof found.

    Attributes:
        removed: rows that left staging in this run.
        files: log files of the home folder that were written anew, with the lines removed.
        deleted: folders and files that were deleted; they are made again when needed.
        yours: log files elsewhere that still hold the person, with their lines; not touched.
        tables: every table searched, with what was found: nothing.
        searched: every file searched, with what was found: nothing.
    """

    removed: rows.Removed
    files: Mapping[Path, int]
    deleted: tuple[Path, ...]
    yours: Mapping[Path, int]
    tables: tuple[proof.Trace, ...]
    searched: tuple[proof.Trace, ...]


def forget(
    settings: Settings,
    given: Mapping[str, Any],
    ids: Sequence[str],
    terminal: Terminal,
    *,
    rebuild: Callable[[], None] | None = None,
) -> Outcome:
    """Remove people, and prove that they are gone.

    Args:
        settings: names home and warehouse.
        given: dbt vars of the log that the warehouse holds.
        ids: client, user or session ids as logged.
        terminal: where to say what happens.
        rebuild: builds the tables; default: all of them, without tests.

    Raises:
        FlywheelError: an id is unknown or the vars name another log (nothing was changed then);
            a build fails; or something is left, with its place.
    """
    ids = tuple(dict.fromkeys(name.strip() for name in ids if name.strip()))
    if not ids:
        raise FlywheelError("No id was given; name a person with --user ID.")
    if not settings.database.exists():
        raise FlywheelError(
            f"There is no warehouse at {settings.database}; run `flywheel build` first."
        )
    with terminal.step("Remove") as step:
        with connect(settings, read_only=False) as connection:
            _refuse_another_log(connection, settings, given)
            removed = rows.remove(connection, ids)
            forgotten = rows.read_list(connection, ids)
        step.result = f"{removed.n_rows} rows of the log, {removed.n_searches} searches"
    with terminal.step("Files") as step:
        files = _clean_logs(settings, forgotten)
        step.result = f"{sum(files.values())} lines of {len(files)} files in {settings.home}"
    if rebuild is None:
        loop.build(settings, given, terminal, tests=False)
    else:
        rebuild()
    with terminal.step("Rewrite") as step:
        with connect(settings, read_only=False) as connection:
            rows.settle(connection, ids)
        _rewrite_database(settings)
        deleted = _delete_made_files(settings, ids)
        step.result = f"the warehouse file anew, {len(deleted)} files and folders deleted"
    with terminal.step("Prove") as step:
        with connect(settings) as connection:
            tables = proof.search_tables(connection, forgotten)
            yours = _look_elsewhere(connection, settings, forgotten)
        searched = proof.search_files(settings, forgotten)
        step.result = f"{len(tables)} tables and {len(searched)} files searched"
    left = list(proof.remaining([*tables, *searched]))
    if left:
        places = ", ".join(f"{trace.place} ({trace.n_found})" for trace in left[:5])
        raise FlywheelError(
            f"What was to be forgotten still stands in {places}"
            f"{f' and {len(left) - 5} more places' if len(left) > 5 else ''}; remove it there and "
            "run the same command again."
        )
    return Outcome(removed, files, deleted, yours, tuple(tables), tuple(searched))


def show(outcome: Outcome, terminal: Terminal) -> None:
    """Print what was done, and the proof, place by place."""
    terminal.line()
    terminal.table(
        "Proof: where the ids were looked for",
        [("place", "left"), ("found", "right")],
        [(t.place, str(t.n_found)) for t in outcome.tables]
        + [(t.place, str(t.n_found)) for t in _by_folder(outcome.searched)],
    )
    terminal.line()
    for path, n_lines in outcome.yours.items():
        terminal.line(
            f"{path}: yours; not touched. {n_lines} lines of the person are in it; "
            "remove them there too. Builds leave them out."
        )
    if outcome.removed.other_ids:
        shown = ", ".join(outcome.removed.other_ids[:5])
        more = len(outcome.removed.other_ids) - 5
        terminal.line(
            f"The removed rows also carried {shown}{f' and {more} more' if more > 0 else ''}; "
            "if that is the same person, forget it too."
        )


def _by_folder(traces: Sequence[proof.Trace]) -> list[proof.Trace]:
    """One line for dbt's compiled files, which are many and alike."""
    target = [t for t in traces if "/target/" in t.place]
    others = [t for t in traces if t not in target]
    if not target:
        return others
    place = f"{target[0].place.split('/target/')[0]}/target ({len(target)} files)"
    return [*others, proof.Trace(place, sum(t.n_found for t in target))]


def _refuse_another_log(connection: Any, settings: Settings, given: Mapping[str, Any]) -> None:
    """The build that follows would throw the log out for another one."""
    values = {name: variables.value(settings, given, name) for name in LOG_VARS}
    text = json.dumps(values, sort_keys=True)
    log_id = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    others = connection.execute(
        "select count(*) from flywheel_state.loaded_files where log_id <> ?", [log_id]
    ).fetchone()
    if others and others[0]:
        raise FlywheelError(
            "The warehouse holds another log than the vars name; give the vars of its last build "
            "with --var. Nothing was changed."
        )


def _ledger(connection: Any, settings: Settings) -> dict[Path, str]:
    found = connection.execute("select distinct source_file from flywheel_state.loaded_files")
    return {(settings.project / name).resolve(): name for (name,) in found.fetchall()}


def _clean_logs(settings: Settings, forgotten: Forgotten) -> dict[Path, int]:
    """Write the home folder's logs anew; the next build reads those that it had loaded again."""
    cleaned: dict[Path, int] = {}
    with connect(settings, read_only=False) as connection:
        ledger = _ledger(connection, settings)
        for path in proof.home_files(settings):
            if not logs.is_log(path) or not proof.is_raw(path, settings):
                continue

            def read_again(path: Path = path) -> None:
                # Sizes may agree by chance; the numbers of the lines have changed.
                connection.execute(
                    "update flywheel_state.loaded_files set n_bytes = -1 where source_file = ?",
                    [ledger.get(path.resolve(), "")],
                )

            n_lines = logs.remove_lines(path, forgotten, before=read_again)
            if n_lines:
                cleaned[path] = n_lines
    return cleaned


def _look_elsewhere(connection: Any, settings: Settings, forgotten: Forgotten) -> dict[Path, int]:
    """Loaded log files outside the home folder that hold the person."""
    elsewhere = [
        path
        for path in sorted(_ledger(connection, settings))
        if path.exists() and not path.is_relative_to(settings.home)
    ]
    counted = {path: logs.count_lines(path, forgotten) for path in elsewhere}
    return {path: n_lines for path, n_lines in counted.items() if n_lines}


def _rewrite_database(settings: Settings) -> None:
    """Copy what the warehouse holds into a new file: deleted rows linger in the old one's blocks.

    Needs as much free disk as the warehouse has bytes.
    """
    with atomic_path(settings.database) as temporary:
        temporary.unlink(missing_ok=True)
        target = str(temporary).replace("'", "''")
        with connect(settings, read_only=False) as connection:
            connection.execute("checkpoint")
            (name,) = connection.execute("select current_database()").fetchone() or ("",)
            connection.execute(f"attach '{target}' as forget_rewritten")
            connection.execute(f'copy from database "{name}" to forget_rewritten')
            connection.execute("checkpoint forget_rewritten")
            connection.execute("detach forget_rewritten")


def _delete_made_files(settings: Settings, ids: tuple[str, ...]) -> tuple[Path, ...]:
    """Delete what quotes rows of tables, and reports, logs and compiled SQL that hold an id."""
    deleted = []
    for name in _EXAMPLES:
        folder = settings.home / name
        if folder.exists():
            shutil.rmtree(folder)
            deleted.append(folder)
    for name in _MADE_AGAIN:
        for path in sorted((settings.home / name).rglob("*")):
            if path.is_file() and proof.mentions(path, ids):
                path.unlink()
                deleted.append(path)
    return tuple(deleted)
