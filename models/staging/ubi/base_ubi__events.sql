{{ config(
    materialized='incremental',
    meta={'replaces': {'changed_inputs': ['search_key']}},
) }}

with

documents as (

    select * from {{ ref('base_ubi__documents') }}
    where document_kind = 'event' and read_error is null and {{ is_replaced() }}

),

{# Two deliveries of one document are one event; its text is its identity. #}
deliveries as (

    select
        *,
        row_number() over (
            partition by content_id order by source_file, row_number
        ) as delivery,
        min(arrived_at) over (partition by content_id) as first_arrived_at
    from documents

),

named as (

    select
        *,
        case
            when action_name in ('click', 'item_click', 'click_through', 'select_item')
                then 'click'
            when action_name in ('impression', 'view_item_list', 'product_hover_impression')
                then 'impression'
            when action_name in ('search', 'on_search', 'view_search_results', 'query')
                then 'search'
            when action_name in ('page_exit', 'dwell') then 'page_exit'
            when action_name in ('add_to_cart', 'purchase', 'conversion', 'checkout')
                then 'conversion'
            else 'other'
        end as action
    from deliveries
    where delivery = 1

),

final as (

    select
        document_id,
        source_file,
        row_number,
        content_id as event_id,
        search_key,
        query_id as search_id,
        action,
        action_name,
        logged_at as event_at,
        first_arrived_at as arrived_at,
        application,
        client_id,
        logged_user_id,
        logged_session_id,
        user_agent,
        ip_hash,
        device,
        case when {{ has_text('user_query') }} then user_query end as query,
        object_id as doc_id,
        ordinal,
        dwell_seconds as explicit_dwell_seconds,
        case
            when logged_at is null then 'missing_time'
            when {{ is_impossible_time('logged_at', 'first_arrived_at') }} then 'impossible_time'
            when length(user_query) > {{ var('max_query_length') }} then 'query_too_long'
            when action in ('click', 'impression') and query_id is null then 'missing_search_id'
            when action in ('click', 'impression') and object_id is null then 'missing_document'
        end as rejection_reason
    from named

)

select * from final
