{{ config(
    materialized='incremental',
    meta={'replaces': {'changed_searches': ['search_id']}},
) }}

with

impressions as (

    select * from {{ ref('int_log_impressions') }}
    where {{ is_replaced() }}

),

searches as (

    select * from {{ ref('fct_searches') }}
    where not is_bot and {{ is_replaced() }}

),

clicked_documents as (

    select * from {{ ref('int_clicked_documents__summarised') }}
    where {{ is_replaced() }}

),

conversions as (

    select distinct
        search_id,
        doc_id
    from {{ ref('int_log_events') }}
    where
        action = 'conversion' and search_id is not null and doc_id is not null
        and {{ is_replaced() }}

),

joined as (

    select
        impressions.*,
        searches.session_id,
        searches.user_id,
        searches.normalized_query,
        searches.device,
        searches.application,
        searches.variant,
        searches.model_version,
        searches.searched_at,
        clicked_documents.clicked_at,
        clicked_documents.n_click_events,
        clicked_documents.dwell_seconds,
        clicked_documents.is_dwell_censored,
        clicked_documents.is_last_click,
        clicked_documents.is_pogo,
        clicked_documents.search_id is not null as is_clicked,
        conversions.search_id is not null or impressions.is_converted as has_conversion
    {#
        Searches last: before the others they would have an engine expect few impressions, and
        build its table of these and not of the clicks.
    #}
    from impressions
    left join clicked_documents
        on
            impressions.search_id = clicked_documents.search_id
            and impressions.doc_id = clicked_documents.doc_id
    left join conversions
        on
            impressions.search_id = conversions.search_id
            and impressions.doc_id = conversions.doc_id
    inner join searches on impressions.search_id = searches.search_id

),

final as (

    select
        cast(search_id as string) as search_id,
        cast(doc_id as string) as doc_id,
        cast(session_id as string) as session_id,
        cast(user_id as string) as user_id,
        cast(normalized_query as string) as query,
        cast(device as string) as device,
        cast(application as string) as application,
        cast(variant as string) as variant,
        cast(model_version as string) as model_version,
        cast({{ propensity_context(var('propensity_contexts')) }} as string)
            as propensity_context,
        cast(impression_source as string) as impression_source,
        cast(rank as integer) as rank,
        cast(rank_before_swap as integer) as rank_before_swap,
        cast(case when is_clicked then 1 else 0 end as integer) as clicked,
        cast(coalesce(n_click_events, 0) as integer) as n_click_events,
        cast(dwell_seconds as double) as dwell_seconds,
        cast(logging_propensity as double) as logging_propensity,
        cast(grade as double) as grade,
        coalesce(is_dwell_censored, false) as is_dwell_censored,
        is_clicked and case
            when is_dwell_censored
                then {{ 'true' if var('censored_click_is_sat') else 'false' }}
            else coalesce(dwell_seconds >= {{ var('sat_dwell_seconds') }}, false)
        end as is_sat_click,
        coalesce(is_last_click, false) as is_last_click,
        coalesce(is_pogo, false) as is_pogo,
        has_conversion as is_converted,
        is_randomised,
        cast(clicked_at as timestamp) as clicked_at,
        cast(searched_at as timestamp) as searched_at
    from joined

)

select * from final
