-- The core of the project's work as one would write it by hand, for DuckDB, from a flat Parquet log
-- without robots or errors. It is the ruler that the project is measured with, and keeps to what
-- the project publishes: sessions, clicks with dwell, impressions, cells, examination by rank, and
-- weighted pairs. It has none of the rest: no checks, quarantine, bots, increments or intervals.
--
--     set variable flat_log = 'flat.parquet';   -- the log
--     set variable ipf_steps = 20;              -- fixed-point steps

create or replace table searches as
select
    search_id,
    any_value(user_id) as user_id,
    any_value(searched_at) as searched_at,
    any_value(lower(trim(regexp_replace(query, '\s+', ' ', 'g')))) as query
from read_parquet(getvariable('flat_log'))
where rank = 1
group by search_id;

-- a session ends after half an hour without a search or click
create or replace table activities as
with

activities as (

    select
        user_id,
        searched_at as activity_at,
        search_id,
        cast(null as varchar) as doc_id,
        cast(null as double) as explicit_dwell_seconds
    from searches
    union all
    select
        user_id,
        clicked_at,
        search_id,
        doc_id,
        dwell_seconds
    from read_parquet(getvariable('flat_log'))
    where clicked

),

with_previous as (

    select
        *,
        coalesce(
            activity_at > lag(activity_at) over visits + interval 30 minute, true
        ) as is_start,
        lead(activity_at) over visits as next_at
    from activities
    window visits as (partition by user_id order by activity_at, doc_id nulls first, search_id)

)

select
    *,
    sum(cast(is_start as integer)) over (
        partition by user_id
        order by activity_at, doc_id nulls first, search_id
        rows between unbounded preceding and current row
    ) as session_number
from with_previous;

create or replace table sessions as
select
    user_id,
    session_number,
    min(activity_at) as started_at,
    max(activity_at) as ended_at,
    count(*) filter (where doc_id is null) as n_searches,
    count(*) filter (where doc_id is not null) as n_clicks
from activities
group by user_id, session_number;

-- a click's dwell is what was logged, else the time to whatever the session does next
create or replace table clicks as
select
    search_id,
    doc_id,
    session_number,
    activity_at as clicked_at,
    coalesce(
        explicit_dwell_seconds,
        case
            when next_at <= activity_at + interval 30 minute
                then epoch_ms(next_at) / 1000.0 - epoch_ms(activity_at) / 1000.0
        end
    ) as dwell_seconds
from activities
where doc_id is not null;

create or replace table impressions as
select
    shown.search_id,
    searches.user_id,
    searches.searched_at,
    searches.query,
    shown.doc_id,
    shown.rank,
    clicks.search_id is not null as clicked,
    clicks.clicked_at,
    clicks.dwell_seconds
from read_parquet(getvariable('flat_log')) as shown
inner join searches on shown.search_id = searches.search_id
left join clicks on shown.search_id = clicks.search_id and shown.doc_id = clicks.doc_id;

-- clicks to learn from: the last seven days are kept for evaluation, or a quarter of a short log
create or replace table windows as
with

spans as (

    select
        min(searched_at) as log_start,
        max(searched_at) + interval 1 microsecond as log_end
    from searches

)

select
    date_trunc('day', log_start) as window_start,
    case
        when log_end >= log_start + interval 28 day
            then date_trunc('day', log_end) - interval 7 day
        else log_end - (log_end - log_start) / 4
    end - interval 120 minute as window_end
from spans;

create or replace table cells as
select
    impressions.query,
    impressions.doc_id,
    impressions.rank,
    count(*) as n_impressions,
    count(*) filter (where impressions.clicked) as n_clicks
from impressions
inner join windows
    on
        impressions.searched_at >= windows.window_start
        and impressions.searched_at < windows.window_end
group by impressions.query, impressions.doc_id, impressions.rank;

-- clicks at a rank are examination times attraction: theta and gamma in turn, from theta = 1
create or replace table propensities as
with recursive

documents as (

    select
        query,
        doc_id,
        row_number() over (order by query, doc_id) as document
    from cells
    group by query, doc_id
    having count(*) > 1 and sum(n_clicks) > 0

),

edges as materialized (

    select
        documents.document,
        cells.rank,
        cast(cells.n_impressions as double) as n_impressions,
        cast(cells.n_clicks as double) as n_clicks
    from cells
    inner join documents on cells.query = documents.query and cells.doc_id = documents.doc_id

),

fits as (

    select distinct
        rank,
        0 as step,
        cast(1 as double) as theta
    from edges

    union all

    select
        edges.rank,
        max(gammas.step) + 1,
        sum(edges.n_clicks) / sum(edges.n_impressions * gammas.gamma)
    from edges
    inner join (
        select
            edges.document,
            max(fits.step) as step,
            sum(edges.n_clicks) / sum(edges.n_impressions * fits.theta) as gamma
        from edges
        inner join fits on edges.rank = fits.rank
        where fits.step < getvariable('ipf_steps')
        group by edges.document
    ) as gammas
        on edges.document = gammas.document
    group by edges.rank

)

select
    rank,
    theta / max(theta) filter (where rank = 1) over () as propensity
from fits
where step = getvariable('ipf_steps');

-- what was clicked, with the inverse of its examination, against what else its pages showed
create or replace table pairs as
with

training_clicks as (

    select
        impressions.search_id,
        impressions.query,
        impressions.doc_id,
        least(1 / propensities.propensity, 20) as weight
    from impressions
    inner join windows
        on
            impressions.searched_at >= windows.window_start
            and impressions.searched_at < windows.window_end
    inner join propensities on impressions.rank = propensities.rank
    where impressions.clicked

),

positives as (

    select
        query,
        doc_id as positive_doc,
        sum(weight) as weight,
        count(*) as n_clicks
    from training_clicks
    group by query, doc_id

),

negatives as (

    select
        training_clicks.query,
        training_clicks.doc_id as positive_doc,
        list_slice(list_sort(array_agg(distinct shown.doc_id)), 1, 20) as negative_docs
    from training_clicks
    inner join impressions as shown
        on training_clicks.search_id = shown.search_id and training_clicks.doc_id <> shown.doc_id
    group by training_clicks.query, training_clicks.doc_id

)

select
    positives.*,
    negatives.negative_docs
from positives
left join negatives
    on positives.query = negatives.query and positives.positive_doc = negatives.positive_doc;
