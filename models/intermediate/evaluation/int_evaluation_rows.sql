{{ config(materialized='view') }}

{#
    Features are those of the candidates, the same for every evaluated search. A view: it is read
    once, when models are judged.
#}
with

impressions as (

    select * from {{ ref('fct_impressions') }}

),

windows as (

    select * from {{ ref('int_windows') }}

),

candidates as (

    select * from {{ ref('int_evaluation_candidates') }}

),

final as (

    select
        impressions.search_id,
        impressions.doc_id,
        impressions.query,
        impressions.user_id,
        impressions.searched_at,
        impressions.rank,
        impressions.rank_before_swap,
        candidates.* exclude (query, doc_id) -- noqa: RF02
    from impressions
    inner join windows
        on
            impressions.searched_at >= windows.evaluation_start
            and impressions.searched_at < windows.evaluation_end
    left join candidates
        on
            impressions.query = candidates.query
            and impressions.doc_id = candidates.doc_id

)

select * from final
