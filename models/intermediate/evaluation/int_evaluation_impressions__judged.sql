{{ config(materialized='view') }}

with

evaluations as (

    select * from {{ source('flywheel_state', 'evaluations') }}

),

searches as (

    select * from {{ ref('fct_searches') }}
    where not is_bot

),

impressions as (

    select * from {{ ref('fct_impressions') }}

),

{#
    Every search says how attractive the documents in it are. What the logged order earns can be
    seen only where that order was shown: not where a draw or a canary's model made the page.
#}
judged_searches as (

    select
        evaluations.evaluation_id,
        searches.search_id,
        searches.user_id,
        (evaluations.champion_version <> 'logged' and evaluations.model_version <> 'logged')
        or (not searches.is_randomised and coalesce(searches.variant, 'champion') <> 'canary')
            as is_compared
    from evaluations
    inner join searches
        on
            searches.searched_at >= evaluations.window_start
            and searches.searched_at < evaluations.window_end

),

final as (

    select
        judged_searches.evaluation_id,
        judged_searches.search_id,
        judged_searches.user_id,
        judged_searches.is_compared,
        impressions.query,
        impressions.doc_id,
        impressions.propensity_context as context,
        impressions.rank,
        impressions.clicked
    from judged_searches
    inner join impressions on judged_searches.search_id = impressions.search_id

)

select * from final
