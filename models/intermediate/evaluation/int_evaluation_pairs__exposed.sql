{#
    Incremental so that a past evaluation stays what it was when the gate read it, whatever
    happens to the log, the propensities or the scores afterwards.
#}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='evaluation_id',
    on_schema_change='append_new_columns'
) }}

with

evaluations as (

    select requested.* from {{ source('flywheel_state', 'evaluations') }} as requested
    {% if is_incremental() %}
    where
        requested.evaluation_id not in (select kept.evaluation_id from {{ this }} as kept)
    {% endif %}

),

impressions as (

    select judged.*
    from {{ ref('int_evaluation_impressions__judged') }} as judged
    inner join evaluations on judged.evaluation_id = evaluations.evaluation_id

),

scores as (

    select * from {{ source('flywheel_state', 'candidate_scores') }}

),

propensities as (

    select * from {{ ref('int_evaluation_propensities') }}

),

sides as (

    select
        evaluation_id,
        'challenger' as side,
        model_version
    from evaluations

    union all

    select
        evaluation_id,
        'champion' as side,
        champion_version as model_version
    from evaluations

),

{# Either model could show as much as was shown. #}
pages as (

    select
        evaluation_id,
        search_id,
        query,
        context,
        max(rank) as depth
    from impressions
    where is_compared
    group by evaluation_id, search_id, query, context

),

{# Searches alike in all that decides what a rank is worth in them. #}
visits as (

    select
        evaluation_id,
        query,
        context,
        depth,
        count(*) as n_searches
    from pages
    group by evaluation_id, query, context, depth

),

queries as (

    select distinct
        evaluation_id,
        query
    from visits

),

shown_pairs as (

    select
        evaluation_id,
        query,
        doc_id,
        {{ ratio(
            'sum(case when is_compared then rank end)', 'count(case when is_compared then 1 end)'
        ) }} as logged_rank
    from impressions
    group by evaluation_id, query, doc_id

),

scored_pairs as (

    select distinct
        queries.evaluation_id,
        queries.query,
        scores.doc_id
    from queries
    inner join sides on queries.evaluation_id = sides.evaluation_id
    inner join scores
        on
            sides.model_version = scores.model_version
            and queries.query = scores.query

),

pool as (

    select
        shown_pairs.evaluation_id,
        shown_pairs.query,
        shown_pairs.doc_id
    from shown_pairs
    inner join queries
        on
            shown_pairs.evaluation_id = queries.evaluation_id
            and shown_pairs.query = queries.query

    union

    select * from scored_pairs

),

side_pool as (

    select
        pool.evaluation_id,
        pool.query,
        pool.doc_id,
        sides.side,
        sides.model_version,
        case
            when sides.model_version = 'logged' then -shown_pairs.logged_rank
            else scores.score
        end as score
    from pool
    inner join sides on pool.evaluation_id = sides.evaluation_id
    left join shown_pairs
        on
            pool.evaluation_id = shown_pairs.evaluation_id
            and pool.query = shown_pairs.query
            and pool.doc_id = shown_pairs.doc_id
    left join scores
        on
            sides.model_version = scores.model_version
            and pool.query = scores.query
            and pool.doc_id = scores.doc_id

),

{#
    The order of what the log never showed is unknown where the log is the champion: such documents
    share the middle rank of those that are left.
#}
ranked as (

    select
        *,
        row_number() over side_order as model_rank,
        count(*) over side_query as n_candidates,
        count(score) over side_query as n_ordered
    from side_pool
    window
        side_query as (partition by evaluation_id, side, query),
        side_order as (
            partition by evaluation_id, side, query
            order by score desc nulls last, md5(query || doc_id), doc_id
        )

),

{# A query counts only where both models know all that it could bring: the comparison is paired. #}
complete_queries as (

    select
        evaluation_id,
        query
    from ranked
    group by evaluation_id, query
    having min(case when model_version = 'logged' or n_ordered = n_candidates then 1 else 0 end) = 1

),

ordered as (

    select
        ranked.evaluation_id,
        ranked.query,
        ranked.doc_id,
        ranked.side,
        ranked.model_version,
        case
            when ranked.score is null
                then cast(ranked.n_ordered + 1 + ranked.n_candidates as double) / 2
            else cast(ranked.model_rank as double)
        end as model_rank
    from ranked
    inner join complete_queries
        on
            ranked.evaluation_id = complete_queries.evaluation_id
            and ranked.query = complete_queries.query

),

{# What each document would be seen, in ranks of one, if the side's model made every page. #}
model_exposures as (

    select
        ordered.evaluation_id,
        ordered.side,
        ordered.query,
        ordered.doc_id,
        propensities.curve,
        {{ exact_sum('visits.n_searches * propensities.propensity') }} as exposure
    from ordered
    inner join visits
        on
            ordered.evaluation_id = visits.evaluation_id
            and ordered.query = visits.query
            and ordered.model_rank <= visits.depth
    inner join propensities
        on
            visits.context = propensities.context
            and ordered.model_rank = propensities.rank
    where ordered.model_version <> 'logged'
    group by
        ordered.evaluation_id, ordered.side, ordered.query, ordered.doc_id, propensities.curve

),

shown as (

    select
        impressions.evaluation_id,
        impressions.query,
        impressions.doc_id,
        propensities.curve,
        cast(sum(impressions.clicked) as bigint) as n_clicks,
        cast(count(*) as bigint) as n_impressions,
        {{ exact_sum('propensities.propensity') }} as exposure,
        {{ exact_sum('case when impressions.is_compared then propensities.propensity else 0 end') }}
            as logged_exposure
    from impressions
    inner join propensities
        on
            impressions.context = propensities.context
            and impressions.rank = propensities.rank
    group by
        impressions.evaluation_id, impressions.query, impressions.doc_id, propensities.curve

),

curves as (

    select distinct curve from propensities

),

sided as (

    select
        ordered.evaluation_id,
        ordered.query,
        ordered.doc_id,
        ordered.side,
        ordered.model_rank,
        curves.curve,
        coalesce(shown.n_clicks, 0) as n_clicks,
        coalesce(shown.n_impressions, 0) as n_impressions,
        coalesce(shown.exposure, 0) as shown_exposure,
        coalesce(
            case
                when ordered.model_version = 'logged' then shown.logged_exposure
                else model_exposures.exposure
            end,
            0
        ) as exposure
    from ordered
    cross join curves
    left join shown
        on
            ordered.evaluation_id = shown.evaluation_id
            and ordered.query = shown.query
            and ordered.doc_id = shown.doc_id
            and curves.curve = shown.curve
    left join model_exposures
        on
            ordered.evaluation_id = model_exposures.evaluation_id
            and ordered.side = model_exposures.side
            and ordered.query = model_exposures.query
            and ordered.doc_id = model_exposures.doc_id
            and curves.curve = model_exposures.curve

),

final as (

    select
        challenger.evaluation_id,
        challenger.curve,
        challenger.query,
        challenger.doc_id,
        challenger.n_impressions,
        challenger.n_clicks,
        challenger.shown_exposure,
        challenger.model_rank as challenger_rank,
        champion.model_rank as champion_rank,
        challenger.exposure as challenger_exposure,
        champion.exposure as champion_exposure
    from sided as challenger
    inner join sided as champion
        on
            challenger.evaluation_id = champion.evaluation_id
            and challenger.curve = champion.curve
            and challenger.query = champion.query
            and challenger.doc_id = champion.doc_id
    where
        challenger.side = 'challenger'
        and champion.side = 'champion'
        {# what neither would show and nobody saw says nothing #}
        and challenger.shown_exposure + challenger.exposure + champion.exposure > 0

)

select * from final
