"""A small warehouse that keeps every contract, for tests to break."""

from pathlib import Path

import duckdb

from flywheel.settings import Settings
from sql_project import SqlProject

# The second tag is one that no page uses, so that a single unescaped copy shows.
HOSTILE = "<script>alert(1)</script><u>"

# Two hundred searches of twenty visitors in forty sessions of five searches; the last two sessions
# are a bot's. Five documents a search; the document at rank 1 + (search % 7) is clicked, so two
# searches in seven have no click. Counts below are worked out from this rule.
WAREHOUSE = f"""
create schema main_intermediate;

create table main.fct_searches as
select
    's' || i as search_id,
    'n' || (i // 5) as session_id,
    'u' || (i // 10) as user_id,
    timestamp '2026-01-01' + to_minutes(i * 30) as searched_at,
    case when i = 0 then '{HOSTILE}' else 'Red Shoes ' || (i % 9) end as query,
    case when i = 0 then '{HOSTILE}' else 'red shoes ' || (i % 9) end as normalized_query,
    'shop' as application,
    'desktop' as device,
    'Mozilla/5.0' as user_agent,
    cast(null as varchar) as variant,
    cast(null as varchar) as model_version,
    i >= 190 as is_bot,
    case when i >= 190 then ['user_agent'] else cast([] as varchar[]) end as bot_reasons,
    5 as n_shown,
    cast(i % 7 < 5 as integer) as n_clicks,
    i % 7 >= 5 as is_abandoned,
    false as is_reformulated,
    false as is_randomised
from range(200) as numbers (i);

create table main.fct_impressions as
select
    searches.search_id,
    'd' || (ranks.rank) as doc_id,
    searches.session_id,
    searches.user_id,
    searches.normalized_query as query,
    searches.searched_at,
    cast(ranks.rank as integer) as rank,
    cast(ranks.rank = 1 + cast(substr(searches.search_id, 2) as integer) % 7 as integer)
        as clicked,
    clicked as n_click_events,
    case when clicked = 1 then searches.searched_at + interval 9 second end as clicked_at,
    case when clicked = 1 and rank <> 2 then 40.0 end as dwell_seconds,
    clicked = 1 and rank = 2 as is_dwell_censored,
    clicked = 1 and rank <> 2 as is_sat_click,
    clicked = 1 as is_last_click,
    false as is_pogo,
    false as is_randomised,
    cast(null as integer) as rank_before_swap,
    cast(null as double) as logging_propensity,
    cast(null as double) as grade,
    false as is_converted,
    'logged' as impression_source,
    searches.device,
    searches.variant,
    searches.model_version,
    'all' as propensity_context
from main.fct_searches as searches
cross join range(1, 6) as ranks (rank)
where not searches.is_bot;

create table main.fct_sessions as
select
    session_id,
    min(user_id) as user_id,
    min(searched_at) as started_at,
    max(searched_at) + interval 60 second as ended_at,
    cast(count(*) as integer) as n_searches,
    cast(sum(n_clicks) as integer) as n_clicks,
    cast(sum(n_clicks) - 1 as integer) as n_sat_clicks,
    session_id <> 'n3' as is_success,
    true as is_success_with_censored,
    false as is_bounce,
    false as is_abandoned,
    bool_or(is_bot) as is_bot,
    case when bool_or(is_bot) then ['user_agent'] else cast([] as varchar[]) end as bot_reasons,
    cast(null as varchar) as variant,
    'desktop' as device,
    'shop' as application
from main.fct_searches
group by session_id;

create table main_intermediate.int_log_searches as
select search_id, user_id, searched_at, query, application from main.fct_searches;

create table main_intermediate.int_log_impressions as
select search_id, doc_id, rank from main.fct_impressions;

create table main_intermediate.int_log_events as
select md5(search_id || doc_id) as event_id, search_id, doc_id, 'click' as action, clicked_at
from main.fct_impressions where clicked = 1;

create table main.fct_input_reconciliation as
select * from (values
    ('ubi_queries', 'queries.ndjson', date '2026-01-01', 110, 108, 2, 0),
    ('ubi_queries', 'queries.ndjson', date '2026-01-02', 98, 92, 6, 0),
    ('ubi_queries', 'queries.ndjson', null, 2, 0, 0, 2),
    ('ubi_events', 'events.ndjson', date '2026-01-01', 150, 143, 0, 7)
) as files (source, source_file, event_date, n_rows, n_used, n_merged, n_quarantined);

create table main.fct_quarantined_rows as
select
    'q' || i as quarantine_id,
    'ubi_events' as source,
    'events.ndjson' as source_file,
    cast(i as bigint) as row_number,
    'truncated line' as reason,
    '{{' as payload,
    cast(null as varchar) as search_id
from range(9) as numbers (i);

create table main.fct_position_propensities as
select
    estimators.estimator,
    'all' as context,
    cast(ranks.rank as integer) as rank,
    power(1.0 / ranks.rank, estimators.alpha) as propensity,
    propensity * 0.9 as ci_low,
    propensity * 1.1 as ci_high,
    0.05 as std_error_log,
    cast(190 as bigint) as n_impressions,
    cast(27 as bigint) as n_clicks,
    true as is_identified,
    estimators.estimator = 'power_law' as is_active
from (values ('power_law', 0.6), ('ipf', 0.7)) as estimators (estimator, alpha)
cross join range(1, 6) as ranks (rank);

create table main.fct_weak_labels as
select
    query,
    doc_id,
    timestamp '2026-01-01' as window_start,
    timestamp '2026-01-04' as window_end,
    cast(max(clicked) as double) as label,
    cast(count(*) as double) as weight,
    '{{}}' as votes,
    sum(clicked) / count(*) as naive_ctr,
    sum(clicked * power(rank, 0.6)) / count(*) as ips_ctr,
    count(*) as n_impressions,
    sum(clicked) as n_clicks
from main.fct_impressions
where searched_at < timestamp '2026-01-04'
group by query, doc_id;

create table main.fct_training_pairs as
select
    query,
    doc_id as positive_doc,
    sum(power(rank, 0.6)) as weight,
    list_filter(['d1', 'd2', 'd3', 'd4', 'd5'], lambda x: x <> doc_id) as negative_docs,
    count(*) as n_clicks,
    timestamp '2026-01-01' as window_start,
    timestamp '2026-01-04' as window_end
from main.fct_impressions
where clicked = 1 and searched_at < timestamp '2026-01-04'
group by query, doc_id;

create table main.fct_training_groups as
with documents as (
    select
        md5(query || positive_doc) as group_id,
        query,
        positive_doc,
        weight,
        unnest(list_concat([positive_doc], negative_docs)) as doc_id
    from main.fct_training_pairs
)

select
    group_id,
    query,
    doc_id,
    cast(doc_id = positive_doc as integer) as is_positive,
    weight,
    weight as clipped_weight,
    date '2026-01-03' as feature_date,
    case when group_id < '2' then 'validation' else 'fit' end as split,
    row_number() over (order by group_id, doc_id) as row_order
from documents;

create table main.fct_training_manifest as
select
    'm1' as manifest_id,
    timestamp '2026-01-01' as window_start,
    timestamp '2026-01-04' as window_end,
    timestamp '2026-01-04' as embargo_end,
    timestamp '2026-01-04' as evaluation_start,
    timestamp '2026-01-06' as evaluation_end,
    cast(144 as bigint) as n_searches,
    cast(720 as bigint) as n_impressions,
    cast(103 as bigint) as n_clicks,
    (select count(*) from main.fct_training_pairs) as n_pairs,
    (select count(distinct group_id) from main.fct_training_groups) as n_groups,
    (select count(*) from main.fct_training_groups) as n_rows,
    'abc' as fingerprint,
    '{{}}' as vars,
    cast(0 as bigint) as n_shared_searches,
    cast(0 as bigint) as n_pairs_with_positive_as_negative,
    cast(0 as bigint) as n_rows_with_later_features,
    cast(0 as bigint) as n_rows_not_yet_shown,
    timestamp '2026-01-03 23:30' as last_training_search_at,
    timestamp '2026-01-03 23:30:09' as last_training_click_at,
    true as is_leak_free,
    true as is_trainable,
    cast(null as varchar) as not_trainable_reason;
"""

DRIFT_MODELS = ("int_drift_windows", "int_drift_cells", "int_drift_measures")


def build_warehouse(path: Path) -> None:
    """Make the clean warehouse; its four days are too few for drift."""
    with duckdb.connect(str(path)) as connection:
        connection.execute(WAREHOUSE)
        build_drift(connection)


def build_drift(connection: duckdb.DuckDBPyConnection, **variables: object) -> None:
    """Build the drift models from the searches and impressions in the warehouse."""
    project = SqlProject(**variables)
    connection.execute("set search_path = 'main,main_intermediate'")
    for name in DRIFT_MODELS:
        connection.execute(
            f"create or replace table main_intermediate.{name} as {project.model(name)}"
        )


def copy_of(clean: Path, folder: Path) -> Settings:
    """A flywheel in `folder` whose warehouse is a copy."""
    database = folder / "warehouse.duckdb"
    database.write_bytes(clean.read_bytes())
    return Settings(project=folder, home=folder / "home", database=database)


def change(settings: Settings, sql: str) -> None:
    """Run SQL on the warehouse."""
    with duckdb.connect(str(settings.database)) as connection:
        connection.execute(sql)
