"""Click logs of any size, written by DuckDB alone, in the forms that the project reads.

One log in three forms: flat Parquet, UBI Parquet and UBI NDJSON hold the same searches, results and
clicks. People search over 28 days, ten results a page, four searches a visit on average; activity
and queries have heavy tails, and a result stands at several ranks, so that its clicks can be
compared among them. Examination is 1 / rank. There are no robots, and every draw is a hash: the
same size gives the same log on every machine.
"""

import tempfile
from pathlib import Path

import duckdb

PAGE = 10
DAYS = 28
FIRST_DAY = "2026-01-05"
FORMS = ("flat", "ubi_parquet", "ubi_ndjson")

ORDERS = 8
"""Orders in which the results of a query are shown, each a little shuffled."""
POOL = 12
"""Documents of a query, of which a page shows ten."""
CLASSES = 50
"""Queries of a class have documents of the same relevance."""


AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.1 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
)
MOBILE_FROM = 4
"""The first agent of a telephone, counted from 1."""


def _fraction(text: str, digit: int = 1) -> str:
    """SQL of a draw from [0, 1) by seven hexadecimal digits of the text's md5."""
    return f"cast('0x' || substr(md5({text}), {digit}, 7) as bigint) / 268435456.0"


def _literal(values: tuple[str, ...]) -> str:
    return "[" + ", ".join("'" + value.replace("'", "''") + "'" for value in values) + "]"


def make_log(connection: duckdb.DuckDBPyConnection, impressions: int) -> None:
    """Make the tables `searches` and `clicks` of a log, and what says which documents were shown.

    Args:
        connection: receives `searches` (a row a search), `shown` (a row an order and rank), and
            `clicks` (a row a click).
        impressions: documents shown; ten make a search.

    Raises:
        ValueError: fewer than a page.
    """
    if impressions < PAGE:
        raise ValueError(f"A log has at least {PAGE} impressions, not {impressions}.")
    n_searches = impressions // PAGE
    # A heavy tail, thin enough that nobody searches as robots do.
    n_users = max(1, n_searches // 16)
    # Draws from a Zipf law over these give some 193,000 distinct queries in a million searches.
    n_queries = max(2, 6 * n_searches // 10)
    connection.execute("set TimeZone = 'UTC'")
    connection.execute(
        f"""
        create or replace temp table shown as
        with

        documents as (

            select
                orders.range as page_order,
                slots.range as slot,
                slots.range + 5 * {_fraction("'order-' || orders.range || '-' || slots.range")}
                    as place
            from range({ORDERS}) as orders
            cross join range({POOL}) as slots

        ),

        ranked as (

            select
                page_order,
                slot,
                row_number() over (partition by page_order order by place, slot) as rank
            from documents

        )

        select * from ranked
        where rank <= {PAGE};

        create or replace temp table relevances as
        select
            classes.range as query_class,
            slots.range as slot,
            0.08 + 0.5 * power(
                {_fraction("'relevance-' || classes.range || '-' || slots.range")}, 2
            ) as relevance
        from range({CLASSES}) as classes
        cross join range({POOL}) as slots;

        create or replace temp table searches as
        with

        sessions_of_28 as (

            select
                generate_subscripts(sizes, 1) - 1 as place,
                unnest(sizes) as session
            from (
                select list_transform(range(28), lambda n: list_position(
                    [0, 1, 3, 6, 10, 15, 21], list_max(list_filter(
                        [0, 1, 3, 6, 10, 15, 21], lambda first: first <= n
                    ))
                )) as sizes
            )

        ),

        numbered as (

            select
                numbers.range as search_number,
                7 * (numbers.range // 28) + sessions_of_28.session as session,
                row_number() over (
                    partition by numbers.range // 28, sessions_of_28.session
                    order by numbers.range
                ) - 1 as search_in_session
            from range({n_searches}) as numbers
            inner join sessions_of_28 on numbers.range % 28 = sessions_of_28.place

        ),

        drawn as (

            select
                *,
                cast(floor({n_users} * power({_fraction("'user-' || session")}, 1.5)) as bigint)
                    as user_number,
                cast(floor({DAYS} * {_fraction("'day-' || session")}) as integer) as day,
                -- from seven in the morning to ten at night
                cast(floor(54000000 * {_fraction("'hour-' || session")}) as bigint)
                    as session_milliseconds,
                cast(floor(power({n_queries}, {_fraction("'search-' || search_number")})) as bigint)
                    as query_number,
                cast(floor({ORDERS} * {_fraction("'search-' || search_number", 8)}) as bigint)
                    as page_order,
                cast(floor(50000 * {_fraction("'search-' || search_number", 15)}) as bigint)
                    as gap_milliseconds
            from numbered

        )

        select
            search_number,
            's' || search_number as search_id,
            'u' || user_number as user_id,
            timestamp '{FIRST_DAY} 07:00:00' + to_days(day) + to_milliseconds(
                session_milliseconds + 150000 * search_in_session + gap_milliseconds
            ) as searched_at,
            query_number,
            ['red', 'blue', 'green', 'small', 'large', 'old', 'new'][1 + query_number % 7] || ' '
            || ['kettle', 'lamp', 'chair', 'tent', 'drill', 'shoes', 'bag', 'clock', 'desk']
                [1 + query_number // 7 % 9] || ' ' || query_number as query,
            page_order,
            {_literal(AGENTS)}[1 + user_number % {len(AGENTS)}] as user_agent,
            case when 1 + user_number % {len(AGENTS)} >= {MOBILE_FROM} then 'mobile' else 'desktop'
            end as device
        from drawn
        order by searched_at, search_number;

        create or replace temp table clicks as
        with

        looked_at as (

            select
                searches.search_id,
                searches.searched_at,
                'd' || searches.query_number || '-' || shown.slot as doc_id,
                shown.rank,
                relevances.relevance,
                md5(searches.search_number || '-' || shown.rank) as draw
            from searches
            inner join shown on searches.page_order = shown.page_order
            inner join relevances
                on
                    searches.query_number % {CLASSES} = relevances.query_class
                    and shown.slot = relevances.slot

        ),

        clicked as (

            select
                *,
                cast('0x' || substr(draw, 8, 7) as bigint) / 268435456.0 as second_draw,
                cast('0x' || substr(draw, 15, 7) as bigint) / 268435456.0 as third_draw
            from looked_at
            where cast('0x' || substr(draw, 1, 7) as bigint) / 268435456.0 < relevance / rank

        )

        select
            search_id,
            doc_id,
            rank,
            -- one after the other down the page, and all before the next search
            searched_at + to_milliseconds(
                cast(3000 + 7000 * rank + floor(5000 * second_draw) as bigint)
            ) as clicked_at,
            case when third_draw < 0.3 then round(5 + 400 * third_draw, 3) end as dwell_seconds
        from clicked
        """
    )


_PAGES = """
    select
        searches.*,
        shown.rank,
        'd' || searches.query_number || '-' || shown.slot as doc_id
    from searches
    inner join shown on searches.page_order = shown.page_order
"""

FLAT = f"""
    select
        pages.search_id,
        pages.searched_at,
        pages.query,
        pages.doc_id,
        cast(pages.rank as integer) as rank,
        clicks.search_id is not null as clicked,
        pages.user_id,
        clicks.clicked_at,
        clicks.dwell_seconds,
        pages.user_agent,
        pages.device
    from ({_PAGES}) as pages
    left join clicks on pages.search_id = clicks.search_id and pages.rank = clicks.rank
"""

UBI_QUERIES = f"""
    select
        'shop' as application,
        search_id as query_id,
        user_id as client_id,
        query as user_query,
        'doc_id' as object_id_field,
        searched_at as "timestamp",
        array_agg(doc_id order by rank) as query_response_hit_ids,
        {{'user_agent': user_agent, 'device': device}} as query_attributes
    from ({_PAGES}) as pages
    group by search_number, search_id, user_id, query, searched_at, user_agent, device
    order by searched_at, search_number
"""

UBI_EVENTS = """
    select
        'shop' as application,
        'click' as action_name,
        clicks.search_id as query_id,
        searches.user_id as client_id,
        clicks.clicked_at as "timestamp",
        {
            'object': {'object_id': clicks.doc_id, 'object_id_field': 'doc_id'},
            'position': {'ordinal': clicks.rank},
            'dwell_time': clicks.dwell_seconds
        } as event_attributes
    from clicks
    inner join searches on clicks.search_id = searches.search_id
    order by clicks.clicked_at, clicks.search_id, clicks.rank
"""


def write_log(
    folder: Path, impressions: int, form: str, *, memory: str = "2GB", threads: int = 2
) -> Path:
    """Write a log in one of its forms.

    Args:
        folder: made where it does not exist; holds nothing else.
        impressions: documents shown; ten make a search.
        form: one of `FORMS`.
        memory: what DuckDB may use; beyond it, it spills into the folder.
        threads: of DuckDB.

    Returns:
        What `flat_log`, or `raw_queries` and `raw_events`, shall name.

    Raises:
        ValueError: the form is unknown, or the log smaller than a page.
    """
    if form not in FORMS:
        raise ValueError(f"{form} is no form of a log; choose from {', '.join(FORMS)}.")
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=folder) as spilled,
        duckdb.connect(config={"memory_limit": memory, "threads": threads}) as connection,
    ):
        connection.execute(f"set temp_directory = '{_quoted(Path(spilled))}'")
        make_log(connection, impressions)
        if form == "flat":
            _copy(connection, FLAT, folder / "flat.parquet")
        else:
            suffix = form.removeprefix("ubi_")
            _copy(connection, UBI_QUERIES, folder / f"ubi_queries.{suffix}")
            _copy(connection, UBI_EVENTS, folder / f"ubi_events.{suffix}")
    return folder / "flat.parquet" if form == "flat" else folder


def _copy(connection: duckdb.DuckDBPyConnection, select: str, path: Path) -> None:
    """Write the rows of a query, Parquet or NDJSON by the name's ending."""
    options = "format parquet"
    if path.suffix == ".ndjson":
        options = "format json, timestampformat '%Y-%m-%dT%H:%M:%S.%gZ'"
    connection.execute(f"copy ({select}) to '{_quoted(path)}' ({options})")


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
