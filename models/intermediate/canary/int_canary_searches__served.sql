{{ config(
    materialized='incremental',
    incremental_predicates=[
        'search_id in (select search_id from flywheel_state.changed_searches)',
        'deployment_id in (select deployment_id from flywheel_state.changed_deployments)',
    ],
) }}

with deployments as (
    select * from {{ source('flywheel_state', 'deployments') }}
),

searches as (
    select * from {{ ref('fct_searches') }}
    where not is_bot
),

{#
    The model that answered is what the user saw; the logged variant is only what was meant, and
    stands in where no model is named. A champion that is the logged order is the search engine as
    it was, which may name neither.
#}
versions as (
    select
        deployments.*,
        searches.search_id,
        searches.session_id,
        searches.user_id,
        searches.searched_at,
        searches.variant,
        searches.n_clicks,
        coalesce(
            searches.model_version,
            case
                when searches.variant = 'canary' then deployments.challenger_version
                when searches.variant = 'champion' then deployments.champion_version
                when searches.variant is null and deployments.champion_version = 'logged'
                    then 'logged'
            end
        ) as served_version
    from deployments
    inner join searches
        on
            searches.searched_at >= deployments.started_at
            and (searches.searched_at < deployments.ended_at or deployments.ended_at is null)
    {% if is_incremental() %}
    where
        {{ is_changed_search('searches.search_id') | indent(8) }}
        or deployments.deployment_id in (
            select changed.deployment_id
            from {{ source('flywheel_state', 'changed_deployments') }} as changed
        )
    {% endif %}
)

select
    deployment_id,
    search_id,
    session_id,
    user_id,
    searched_at,
    cast(searched_at as date) as search_date,
    case when served_version = challenger_version then 'canary' else 'champion' end
        as served_variant,
    variant as logged_variant,
    n_clicks > 0 as is_clicked
from versions
where served_version in (champion_version, challenger_version)
