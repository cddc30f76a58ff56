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
        requested.evaluation_id not in (select scored.evaluation_id from {{ this }} as scored)
    {% endif %}

),

searches as (

    select * from {{ ref('fct_searches') }}

),

impressions as (

    select * from {{ ref('int_impressions__weighted') }}

),

scores as (

    select * from {{ ref('fct_ranker_scores') }}

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

{#
    Where one side is the logged order itself, two kinds of searches say nothing about it and are
    left out for both sides: randomised ones, whose shown order is partly a draw (the order before
    the draw is not always logged), and those a canary model served.
#}
candidates as (

    select
        evaluations.evaluation_id,
        searches.search_id,
        searches.user_id
    from evaluations
    inner join searches
        on
            searches.searched_at >= evaluations.window_start
            and searches.searched_at < evaluations.window_end
    where
        not searches.is_bot
        and (
            (evaluations.champion_version <> 'logged' and evaluations.model_version <> 'logged')
            or (not searches.is_randomised and coalesce(searches.variant, 'champion') <> 'canary')
        )

),

documents as (

    select
        candidates.evaluation_id,
        candidates.search_id,
        candidates.user_id,
        impressions.doc_id,
        impressions.clicked,
        coalesce(impressions.rank_before_swap, impressions.rank) as logged_rank,
        case when impressions.clicked = 1 then impressions.ips_weight else cast(0 as double) end
            as click_weight
    from candidates
    inner join impressions
        on candidates.search_id = impressions.search_id

),

side_documents as (

    select
        documents.*,
        sides.side,
        sides.model_version,
        case
            when sides.model_version = 'logged' then cast(-documents.logged_rank as double)
            else scores.score
        end as score
    from documents
    inner join sides
        on documents.evaluation_id = sides.evaluation_id
    left join scores
        on
            sides.model_version = scores.model_version
            and documents.search_id = scores.search_id
            and documents.doc_id = scores.doc_id

),

{# A search counts only where both models ranked everything in it: the comparison is paired. #}
complete_searches as (

    select
        evaluation_id,
        search_id
    from side_documents
    group by evaluation_id, search_id
    having count(*) = count(score)

),

{#
    Ties are broken by a hash, never by the logged order: that would hand the logged order's clicks
    to whichever model cannot tell the documents apart.
#}
ranked as (

    select
        side_documents.*,
        row_number() over (
            partition by
                side_documents.evaluation_id, side_documents.side, side_documents.search_id
            order by
                side_documents.score desc,
                md5(side_documents.search_id || side_documents.doc_id),
                side_documents.doc_id
        ) as model_rank,
        row_number() over (
            partition by
                side_documents.evaluation_id, side_documents.side, side_documents.search_id
            order by
                side_documents.clicked desc,
                side_documents.click_weight desc nulls last,
                side_documents.doc_id
        ) as ideal_rank
    from side_documents
    inner join complete_searches
        on
            side_documents.evaluation_id = complete_searches.evaluation_id
            and side_documents.search_id = complete_searches.search_id

),

discounted as (

    select
        *,
        {{ rank_discount('model_rank') }} as model_discount,
        {{ rank_discount('ideal_rank') }} as ideal_discount,
        {{ ratio(1, 'model_rank') }} as reciprocal_rank
    from ranked

),

final as (

    select
        evaluation_id,
        side,
        model_version,
        search_id,
        user_id,
        cast(count(*) as integer) as n_documents,
        cast(sum(clicked) as integer) as n_clicks,
        cast(count(case when clicked = 1 then click_weight end) as integer) as n_weighted_clicks,
        {{ exact_sum('clicked * model_discount') }} as dcg,
        {{ exact_sum('clicked * ideal_discount') }} as ideal_dcg,
        max(clicked * reciprocal_rank) as reciprocal_rank,
        {{ exact_sum('click_weight') }} as click_weight,
        {{ exact_sum('click_weight * click_weight') }} as squared_click_weight,
        {{ exact_sum('click_weight * model_discount') }} as ips_dcg,
        {{ exact_sum('click_weight * ideal_discount') }} as ips_ideal_dcg,
        {{ exact_sum('click_weight * reciprocal_rank') }} as ips_reciprocal_rank
    from discounted
    group by evaluation_id, side, model_version, search_id, user_id

)

select * from final
