{{ config(
    materialized='incremental',
    meta={'replaces': {'changed_visitors': ['user_id'], 'changed_deployments': ['deployment_id']}},
) }}

with

deployments as (

    select * from {{ source('flywheel_state', 'deployments') }}

),

{# Bots too: who counts is decided below, by what the arm has no part in. #}
searches as (

    select * from {{ ref('fct_searches') }}

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
        searches.bot_reasons,
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
    where {{ is_replaced({
        'deployment_id': 'deployments.deployment_id', 'user_id': 'searches.user_id'
    }) }}

),

{#
    A canary whose share was raised goes on as another deployment of the same salt. What was before
    it is what was before the first of them: since then it may have made people look like bots.
#}
first_deployments as (

    select
        deployment_id,
        min(started_at) over (partition by salt) as first_started_at
    from deployments

),

{#
    A ranker that loses clicks makes more people look like robots that never click, and the filter
    would hide the harm. So a visitor is left out for what no ranker changes (the agent's name, the
    clock), or for any verdict on a day before the canary.
#}
known_bots as (

    select distinct
        first_deployments.deployment_id,
        searches.user_id
    from first_deployments
    inner join searches
        on first_deployments.first_started_at > searches.searched_at
    where searches.is_bot

),

final as (

    select
        versions.deployment_id,
        versions.search_id,
        versions.session_id,
        versions.user_id,
        versions.searched_at,
        cast(versions.searched_at as date) as search_date,
        case
            when versions.served_version = versions.challenger_version then 'canary'
            else 'champion'
        end as served_variant,
        versions.variant as logged_variant,
        versions.n_clicks > 0 as is_clicked
    from versions
    left join known_bots
        on
            versions.deployment_id = known_bots.deployment_id
            and versions.user_id = known_bots.user_id
    where
        versions.served_version in (versions.champion_version, versions.challenger_version)
        and known_bots.user_id is null
        and not {{ has_unmoved_bot_reason('versions.bot_reasons') }}

)

select * from final
