"""Takes a person's rows out of the warehouse, and asks the next build to follow."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from flywheel.errors import FlywheelError
from flywheel.forget.ids import Forgotten, mention_pattern
from flywheel.inputs import LogFormat, log_formats

LIST = "flywheel_state.forgotten_visitors"
CHANGE_TABLES = (
    "changed_inputs",
    "changed_visits",
    "changed_searches",
    "changed_sessions",
    "changed_deployments",
)
_SCORED = "int_evaluation_searches__scored"


@dataclass(frozen=True)
class Removed:
    """What left staging.

    Attributes:
        n_rows: rows, of those searches and others that name the person.
        n_searches: whole searches.
        other_ids: client and user ids that the rows also carried: perhaps the same person's.
    """

    n_rows: int
    n_searches: int
    other_ids: tuple[str, ...]


def remove(connection: duckdb.DuckDBPyConnection, ids: Sequence[str]) -> Removed:
    """Delete a person's rows from staging, list them, and note the change; all or nothing.

    A search goes whole if it is the person's: what became its visitor, user or logged session is
    one of the ids. A row that names the person inside a search of somebody else goes alone. What
    nobody's search holds (quarantined rows, lone events) goes with everything of its search key.

    Args:
        connection: the warehouse, to write.
        ids: one or more ids of the same or several people.

    Raises:
        FlywheelError: an id is neither in the log nor on the list; nothing was changed.
    """
    connection.execute("begin")
    try:
        removed = _remove(connection, ids)
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")
    return removed


def read_list(connection: duckdb.DuckDBPyConnection, ids: Sequence[str]) -> Forgotten:
    """The list of everything forgotten, for files and proofs."""
    rows = connection.execute(f"select kind, id_hash, salt from {LIST}").fetchall()
    kinds = ("visitor", "search", "session", "text")
    return Forgotten(
        ids=tuple(ids),
        salt=rows[0][2],
        hashes={kind: frozenset(row[1] for row in rows if row[0] == kind) for kind in kinds},
    )


def settle(connection: duckdb.DuckDBPyConnection, ids: Sequence[str]) -> None:
    """After every model has seen the change: forget what it was, and texts that quote the ids.

    Builds forget such notes when the next one starts; here they name the person.
    """
    for name in CHANGE_TABLES:
        connection.execute(f"delete from flywheel_state.{name}")
    for column in ("observed", "reason"):
        connection.execute(
            f"update flywheel_state.validation_results set {column} = '[forgotten]' "
            f"where regexp_matches({column}, ?)",
            [mention_pattern(ids)],
        )
    agents = _table(connection, "int_user_agents__classified")
    if agents is not None:
        connection.execute(
            f"""
            delete from {agents}
            where
                user_agent not in (
                    select user_agent from {_table(connection, "int_log_searches")}
                    where user_agent is not null
                    union
                    select user_agent from {_table(connection, "int_log_events")}
                    where user_agent is not null
                )
            """
        )


def _remove(connection: duckdb.DuckDBPyConnection, ids: Sequence[str]) -> Removed:
    staged = {
        table: declared
        for declared in log_formats().values()
        if (table := _table(connection, declared.staged_in)) is not None
    }
    parts = [_whose(table, declared) for table, declared in staged.items()]
    if not parts:
        raise FlywheelError("The warehouse holds no log yet; run `flywheel build` first.")
    connection.execute(
        f"create table if not exists {LIST} "
        "(kind varchar, id_hash varchar, salt varchar, forgotten_at timestamp)"
    )
    (salt,) = connection.execute(f"select min(salt) from {LIST}").fetchone() or (None,)
    salt = salt or secrets.token_hex(16)
    connection.execute(
        f"""
        create or replace temp table forget_named as
        select
            *,
            coalesce(list_contains($ids, client_id), false)
            or coalesce(list_contains($ids, logged_user_id), false)
            or coalesce(list_contains($ids, logged_session_id), false) as is_identity
        from ({" union all ".join(parts)})
        where is_identity or regexp_matches(text, $pattern)
        """,
        {"ids": list(ids), "pattern": mention_pattern(ids)},
    )
    _refuse_unknown(connection, ids, salt)
    _choose_searches(connection, ids)
    connection.execute(
        f"""
        create or replace temp table forget_rows as
        select * from ({" union all ".join(parts)}) as staged
        where
            search_key in (select search_key from forget_searches)
            or (source_file, row_number) in (select (source_file, row_number) from forget_named)
        """
    )
    _list_hashes(connection, ids, salt)
    others = connection.execute(
        """
        select distinct other
        from (select unnest([client_id, logged_user_id]) as other from forget_rows) as carried
        where other is not null
        order by other
        """
    ).fetchall()
    connection.execute(
        """
        insert into flywheel_state.changed_inputs
        select distinct
            search_key, (select coalesce(max(build_number), 0) + 1 from flywheel_state.builds)
        from forget_rows
        where search_key is not null
        """
    )
    for table in staged:
        connection.execute(
            f"delete from {table} where (source_file, row_number) in "
            "(select (source_file, row_number) from forget_rows)"
        )
    for table in ("flywheel_state.ranker_scores", _table(connection, _SCORED)):
        if table is not None:
            connection.execute(
                f"delete from {table} where md5(? || '-' || search_id) in "
                f"(select id_hash from {LIST} where kind = 'search')",
                [salt],
            )
    n_rows, n_searches = connection.execute(
        """
        select
            count(*),
            count(distinct search_id) filter (
                where search_key in (select search_key from forget_searches)
            )
        from forget_rows
        """
    ).fetchone() or (0, 0)
    return Removed(n_rows, n_searches, tuple(o for (o,) in others if o not in ids))


def _whose(table: str, declared: LogFormat) -> str:
    """Query for the rows of a format, with who is named in each."""
    names = {"user_id": "logged_user_id", "session_id": "logged_session_id"}
    columns = [f"{sql} as {names.get(name, name)}" for name, sql in declared.identity.items()]
    return f"select source_file, row_number, {', '.join(columns)} from {table}"


def _refuse_unknown(connection: duckdb.DuckDBPyConnection, ids: Sequence[str], salt: str) -> None:
    for name in ids:
        found = connection.execute(
            f"""
            select
                exists (
                    select 1 from forget_named
                    where $id in (client_id, logged_user_id, logged_session_id)
                )
                or exists (
                    select 1 from {LIST}
                    where kind = 'visitor' and id_hash = md5($salt || '-' || $id)
                )
            """,
            {"id": name, "salt": salt},
        ).fetchone()
        if not found or not found[0]:
            raise FlywheelError(
                f"Nobody called {name} is in the log; give a client_id, user_id or session id "
                "as it was logged. Nothing was changed."
            )


def _choose_searches(connection: duckdb.DuckDBPyConnection, ids: Sequence[str]) -> None:
    searches = _table(connection, "int_log_searches")
    resolved = searches or (
        "(select null as search_key, null as user_id, null as logged_user_id, "
        "null as logged_session_id where false)"
    )
    connection.execute(
        f"""
        create or replace temp table forget_searches as
        select search_key from {resolved}
        where
            list_contains($ids, user_id)
            or list_contains($ids, logged_user_id)
            or list_contains($ids, logged_session_id)
        union
        select search_key from forget_named
        where
            is_identity
            and search_key not in (
                select search_key from {resolved} where search_key is not null
            )
        """,
        {"ids": list(ids)},
    )


def _list_hashes(connection: duckdb.DuckDBPyConnection, ids: Sequence[str], salt: str) -> None:
    activities = _table(connection, "int_activities__sessionized")
    sessions = (
        f"""
        union
        select 'session', session_id from {activities}
        group by session_id
        having bool_and(
            list_contains($ids, user_id) or search_key in (select search_key from forget_searches)
        )
        """
        if activities is not None
        else ""
    )
    connection.execute(
        f"""
        insert into {LIST}
        select kind, md5($salt || '-' || name), $salt, now() at time zone 'UTC'
        from (
            select 'visitor' as kind, unnest($ids) as name
            union
            select 'search', search_id from forget_rows
            where search_key in (select search_key from forget_searches) and search_id is not null
            union
            select 'text', text from forget_named
            where
                not is_identity
                and (
                    search_key is null
                    or search_key not in (select search_key from forget_searches)
                )
            {sessions}
        ) as names
        where
            (kind, md5($salt || '-' || name)) not in (select (kind, id_hash) from {LIST})
        """,
        {"ids": list(ids), "salt": salt},
    )


def _table(connection: duckdb.DuckDBPyConnection, name: str) -> str | None:
    """A model's table or view, quoted; None where it was never built."""
    found = connection.execute(
        "select table_schema from information_schema.tables "
        "where table_name = ? and table_type in ('BASE TABLE', 'VIEW') order by table_schema",
        [name],
    ).fetchone()
    return f'"{found[0]}"."{name}"' if found else None
