"""The declared suites against a small warehouse: clean, and with one thing broken at a time."""

import html
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
import yaml

from flywheel.errors import FlywheelError
from flywheel.settings import Settings
from flywheel.validation import (
    GATES,
    ValidationFailed,
    ValidationReport,
    load_suites,
    validate,
)

HOSTILE = "<script>alert(1)</script>"

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
    ('ubi_queries', 'queries.ndjson', 210, 200, 8, 2),
    ('ubi_events', 'events.ndjson', 150, 143, 0, 7)
) as files (source, source_file, n_rows, n_used, n_merged, n_quarantined);

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
    true as is_trainable,
    cast(null as varchar) as not_trainable_reason;
"""


@dataclass(frozen=True)
class Corruption:
    """One thing broken, and what the message must name."""

    gate: str
    sql: str
    table: str
    column: str
    observed: str


def corruption(name: str, gate: str, sql: str, table: str, column: str, observed: str):
    return pytest.param(Corruption(gate, sql, table, column, observed), id=name)


STOPS = [
    corruption(
        "lost input rows",
        "raw",
        "update fct_input_reconciliation set n_used = 190 where source = 'ubi_queries'",
        "fct_input_reconciliation",
        "n_rows, n_used, n_merged, n_quarantined",
        "1",
    ),
    corruption(
        "mostly quarantined",
        "raw",
        "update fct_input_reconciliation set n_used = 50, n_quarantined = 100 "
        "where source = 'ubi_events'",
        "fct_input_reconciliation",
        "n_quarantined",
        "1",
    ),
    corruption(
        "no input",
        "raw",
        "delete from fct_input_reconciliation",
        "fct_input_reconciliation",
        "(table)",
        "0",
    ),
    corruption(
        "no reason for quarantine",
        "raw",
        "update fct_quarantined_rows set reason = null where quarantine_id = 'q4'",
        "fct_quarantined_rows",
        "reason",
        "1 of 9 rows (11 %)",
    ),
    corruption(
        "zero-based rank",
        "raw",
        "update main_intermediate.int_log_impressions set rank = rank - 1 where search_id = 's7'",
        "int_log_impressions",
        "rank",
        "1 of 950 rows",
    ),
    corruption(
        "impression of an unknown search",
        "raw",
        "delete from main_intermediate.int_log_searches where search_id = 's3'",
        "int_log_impressions",
        "search_id",
        "5",
    ),
    corruption(
        "search twice",
        "behavior",
        "insert into fct_searches select * from fct_searches where search_id = 's5'",
        "fct_searches",
        "search_id",
        "2 of 201 rows (1 %), for example s5",
    ),
    corruption(
        "bot unknown",
        "behavior",
        "update fct_searches set is_bot = null where search_id in ('s5', 's6')",
        "fct_searches",
        "is_bot",
        "2 of 200 rows (1 %)",
    ),
    corruption(
        "clicked more than shown",
        "behavior",
        "update fct_searches set n_shown = 0 where search_id = 's7'",
        "fct_searches",
        "n_shown, n_clicks",
        "1 of 200 rows",
    ),
    corruption(
        "session unknown",
        "behavior",
        "update fct_searches set session_id = 'nowhere' where search_id = 's7'",
        "fct_searches",
        "session_id",
        "1",
    ),
    corruption(
        "document twice in a search",
        "behavior",
        "update fct_impressions set doc_id = 'd1' where search_id = 's5' and doc_id = 'd2'",
        "fct_impressions",
        "search_id, doc_id",
        "2 of 950 rows",
    ),
    corruption(
        "negative dwell",
        "behavior",
        "update fct_impressions set dwell_seconds = -1 where search_id = 's0' and rank = 1",
        "fct_impressions",
        "dwell_seconds",
        "1 of 950 rows",
    ),
    corruption(
        "bot in the impressions",
        "behavior",
        "update fct_searches set is_bot = true, bot_reasons = ['rate'] where search_id = 's9'",
        "fct_impressions",
        "search_id",
        "5",
    ),
    corruption(
        "clicks only",
        "behavior",
        "delete from fct_impressions where clicked = 0",
        "fct_impressions",
        "clicked",
        "1",
    ),
    corruption(
        "click before its search",
        "behavior",
        "update fct_impressions set clicked_at = clicked_at - interval 1 hour "
        "where search_id = 's0' and rank = 1",
        "fct_impressions",
        "clicked_at, searched_at",
        "1",
    ),
    corruption(
        "session ends before it starts",
        "behavior",
        "update fct_sessions set ended_at = started_at - interval 1 second where session_id = 'n3'",
        "fct_sessions",
        "ended_at, started_at",
        "1 of 40 rows (2.5 %)",
    ),
    corruption(
        "column gone",
        "behavior",
        "alter table fct_sessions drop column is_success",
        "fct_sessions",
        "is_success",
        "does not exist",
    ),
    corruption(
        "two active propensities",
        "training",
        "update fct_position_propensities set is_active = true "
        "where estimator = 'ipf' and rank = 2",
        "fct_position_propensities",
        "is_active",
        "1",
    ),
    corruption(
        "rank 1 is not 1",
        "training",
        "update fct_position_propensities set propensity = 0.95 where is_active and rank = 1",
        "fct_position_propensities",
        "propensity",
        "1",
    ),
    corruption(
        "positive among its negatives",
        "training",
        "update fct_training_pairs set negative_docs = ['d9', positive_doc] "
        "where query = 'red shoes 1' and positive_doc = 'd1'",
        "fct_training_pairs",
        "positive_doc, negative_docs",
        "1",
    ),
    corruption(
        "weight of zero",
        "training",
        "update fct_training_pairs set weight = 0 "
        "where query = 'red shoes 1' and positive_doc = 'd1'",
        "fct_training_pairs",
        "weight",
        "1",
    ),
    corruption(
        "two positives in a group",
        "training",
        "update fct_training_groups set is_positive = 1 where row_order <= 5",
        "fct_training_groups",
        "is_positive",
        "1",
    ),
    corruption(
        "features from the future",
        "training",
        "update fct_training_groups set feature_date = date '2026-01-04' where row_order = 3",
        "fct_training_groups",
        "feature_date",
        "1",
    ),
    corruption(
        "evaluation inside the training window",
        "training",
        "update fct_training_manifest set evaluation_start = timestamp '2026-01-03'",
        "fct_training_manifest",
        "window_end, embargo_end, evaluation_start",
        "1",
    ),
    corruption(
        "trainable without pairs",
        "training",
        "delete from fct_training_pairs",
        "fct_training_pairs",
        "(table)",
        "0",
    ),
]


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> Path:
    """A clean warehouse file, never changed: tests copy it."""
    path = tmp_path_factory.mktemp("clean") / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(WAREHOUSE)
    return path


@pytest.fixture
def settings(clean, tmp_path) -> Settings:
    return copy_of(clean, tmp_path)


def copy_of(clean: Path, folder: Path) -> Settings:
    database = folder / "warehouse.duckdb"
    database.write_bytes(clean.read_bytes())
    return Settings(project=folder, home=folder / "home", database=database)


def change(settings: Settings, sql: str) -> None:
    with duckdb.connect(str(settings.database)) as connection:
        connection.execute(sql)


@pytest.fixture(scope="module")
def clean_run(clean, tmp_path_factory) -> tuple[ValidationReport, list[tuple[int, int, str]]]:
    steps: list[tuple[int, int, str]] = []
    settings = copy_of(clean, tmp_path_factory.mktemp("run"))
    report = validate(settings, on_progress=lambda *step: steps.append(step))
    return report, steps


def test_clean_warehouse_opens_every_gate(clean_run):
    report, _ = clean_run
    assert [result.sentence for result in report.results if not result.success] == []
    assert report.skipped == ()
    assert {result.gate for result in report.results} == set(GATES)
    declared = [(s.gate, s.table, r.type) for s in load_suites() for r in s.rules]
    assert [(r.gate, r.table, r.expectation) for r in report.results] == declared
    assert json.loads(json.dumps(report.to_dict()))["success"] is True


def test_progress_counts_up_to_the_end(clean_run):
    _, steps = clean_run
    assert [step[0] for step in steps] == [0, 1, 2, 3, 4, 5]
    assert {step[1] for step in steps} == {5}


@pytest.mark.parametrize("broken", STOPS)
def test_one_corruption_shuts_its_gate(broken, settings):
    change(settings, broken.sql)
    with pytest.raises(ValidationFailed) as raised:
        validate(settings, gates=[broken.gate])
    message = str(raised.value)
    assert message.startswith(f"The {broken.gate} gate is shut: table ")
    assert "\n" not in message
    named = [
        stop
        for stop in raised.value.report.stops
        if (stop.table, stop.column) == (broken.table, broken.column)
    ]
    assert named, [stop.sentence for stop in raised.value.report.stops]
    assert any(broken.observed in (stop.error or stop.observed) for stop in named)
    assert str(settings.home / "data_docs" / "index.html") in message
    for stop in named:
        assert stop.table in stop.sentence
        assert stop.expectation in stop.sentence
        assert all(column in stop.sentence for column in stop.columns)
