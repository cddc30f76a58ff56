{{ config(
    materialized='incremental',
    meta={'replaces': {'changed_inputs': ['search_key']}},
) }}

with

documents as (

    select * from {{ ref('base_ubi__documents') }}
    where document_kind = 'query' and read_error is null and {{ is_replaced() }}

),

{# Two deliveries of one document are one query; its text is its identity. #}
deliveries as (

    select
        *,
        row_number() over (
            partition by content_id order by source_file, row_number
        ) as delivery,
        min(arrived_at) over (partition by content_id) as first_arrived_at
    from documents

),

judged as (

    select
        *,
        case
            when query_id is null then 'missing_search_id'
            when logged_at is null then 'missing_time'
            when {{ is_impossible_time('logged_at', 'first_arrived_at') }} then 'impossible_time'
            when not {{ has_text('user_query') }} then 'missing_query'
            when length(user_query) > {{ var('max_query_length') }} then 'query_too_long'
        end as rejection_reason
    from deliveries
    where delivery = 1

),

{#
    Searches sent at every keystroke share one query id: the last text is the search that was
    made, the earlier ones are merged into it.
#}
ranked as (

    select
        *,
        row_number() over (
            partition by query_id, rejection_reason is null
            order by logged_at desc, length(user_query) desc, content_id
        ) as recency
    from judged

),

final as (

    select
        document_id,
        source_file,
        row_number,
        content_id,
        search_key,
        query_id as search_id,
        logged_at as searched_at,
        first_arrived_at as arrived_at,
        user_query as query,
        application,
        client_id,
        logged_user_id,
        logged_session_id,
        user_agent,
        ip_hash,
        device,
        variant,
        model_version,
        is_randomised,
        hit_ids,
        rejection_reason,
        case when rejection_reason is null then recency > 1 end as is_superseded
    from ranked

)

select * from final
