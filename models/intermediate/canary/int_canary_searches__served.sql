with deployments as (
    select * from {{ source('flywheel_state', 'deployments') }}
),

searches as (
    select * from {{ ref('fct_searches') }}
    where not is_bot
)

select
    deployments.deployment_id,
    searches.search_id,
    searches.session_id,
    searches.user_id,
    searches.searched_at,
    cast(searches.searched_at as date) as search_date,
    {# The model that answered is what the user saw; the logged variant is only what was meant. #}
    case
        when searches.model_version = deployments.challenger_version then 'canary'
        else 'champion'
    end as served_variant,
    searches.variant as logged_variant,
    searches.n_clicks > 0 as is_clicked
from deployments
inner join searches
    on
        searches.searched_at >= deployments.started_at
        and (searches.searched_at < deployments.ended_at or deployments.ended_at is null)
        and searches.model_version in (deployments.champion_version, deployments.challenger_version)
