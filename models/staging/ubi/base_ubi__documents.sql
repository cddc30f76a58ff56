{{ config(
    materialized='incremental',
    meta={'replaces': {'pending_files': ['source_file']}, 'dated_by': 'logged_at'},
    pre_hook='{{ record_changed_inputs(this, is_before=true) }}',
    post_hook=['{{ record_changed_inputs(this) }}', '{{ record_loaded_files(\'ubi\') }}'],
) }}

with

raw_documents as (

    select * from {{ source('raw', 'ubi_documents') }}

),

files as (

    select * from {{ source('flywheel_state', 'pending_files') }}
    where is_named

),

classified as (

    select
        *,
        case
            when read_error is not null then null
            when index_name like '%queries%' then 'query'
            when index_name like '%events%' then 'event'
            when action_name is not null then 'event'
            when user_query is not null or query_id is not null then 'query'
        end as document_kind
    from raw_documents
    where read_error is null or read_error <> 'blank_line'

),

{# What a file holds typed is taken as it is, what it spells out is read. #}
typed as (

    select
        source_file,
        row_number,
        document,
        document_kind,
        case
            when read_error is not null then read_error
            when document_kind is null then 'not_a_ubi_document'
        end as read_error,
        lower(trim(action_name)) as action_name,
        nullif(trim(query_id), '') as query_id,
        user_query,
        nullif(trim(client_id), '') as client_id,
        nullif(trim(coalesce(user_id, event_user_id, query_user_id)), '') as logged_user_id,
        nullif(trim(coalesce(session_id, event_session_id, query_session_id)), '')
            as logged_session_id,
        timestamp_text,
        -- noqa: disable=RF06
        coalesce("timestamp", {{ parse_timestamp("nullif(trim(timestamp_text), '')") }})
            as logged_at,
        -- noqa: enable=RF06
        coalesce(nullif(trim(application), ''), 'default') as application,
        message,
        coalesce(
            query_response_hit_ids,
            query_response_object_ids,
            query_response_objects_ids,
            {{ json_string_list('coalesce(
                query_response_hit_ids_text,
                query_response_object_ids_text,
                query_response_objects_ids_text
            )') }}
        ) as hit_ids,
        nullif(trim(coalesce(query_user_agent, event_user_agent, event_browser)), '')
            as user_agent,
        query_ip,
        event_ip,
        coalesce(query_device, event_device) as device,
        nullif(query_variant, '') as variant,
        nullif(query_model_version, '') as model_version,
        coalesce(
            query_is_randomised, try_cast(query_is_randomised_text as boolean), false
        ) as is_randomised,
        coalesce(event_dwell_time, try_cast(event_dwell_time_text as double)) as dwell_time,
        nullif(trim(event_object_id), '') as object_id,
        coalesce(
            event_ordinal_index,
            {{ try_integer('event_ordinal_index_text') }},
            event_ordinal,
            {{ try_integer('event_ordinal_text') }}
        ) as ordinal
    from classified

),

named as (

    select
        typed.*,
        case
            when typed.action_name in ('click', 'item_click', 'click_through', 'select_item')
                then 'click'
            when
                typed.action_name in ('impression', 'view_item_list', 'product_hover_impression')
                then 'impression'
            when
                typed.action_name in ('search', 'on_search', 'view_search_results', 'query')
                then 'search'
            when typed.action_name in ('page_exit', 'dwell') then 'page_exit'
            when typed.action_name in ('add_to_cart', 'purchase', 'conversion', 'checkout')
                then 'conversion'
            when typed.document_kind = 'event' then 'other'
        end as action,
        {# Its text is its identity; of a row without a text, its fields are. #}
        md5(coalesce(typed.document, cast(to_json({
            'action_name': typed.action_name,
            'query_id': typed.query_id,
            'user_query': typed.user_query,
            'client_id': typed.client_id,
            'user_id': typed.logged_user_id,
            'session_id': typed.logged_session_id,
            'logged_at': coalesce(cast(typed.logged_at as string), typed.timestamp_text),
            'application': typed.application,
            'message': typed.message,
            'hit_ids': typed.hit_ids,
            'user_agent': typed.user_agent,
            'device': typed.device,
            'variant': typed.variant,
            'model_version': typed.model_version,
            'is_randomised': typed.is_randomised,
            'dwell_time': typed.dwell_time,
            'object_id': typed.object_id,
            'ordinal': typed.ordinal
        }) as string))) as content_id,
        files.arrived_at
    from typed
    inner join files on typed.source_file = files.source_file

),

judged as (

    select
        *,
        coalesce(read_error, {{ document_rejection('arrived_at') | indent(8) }})
            as rejection_reason
    from named

),

{# Of what may be of no use the text is kept. #}
kept as (

    select
        content_id,
        {# Whatever is decided about a document is decided among those of its search. #}
        coalesce(query_id, 'document:' || content_id) as search_key,
        source_file,
        row_number,
        case
            when read_error is not null then {{ redact_addresses('document') }}
            when
                rejection_reason is not null
                or query_id is null
                or (document_kind = 'event' and object_id is null)
                then coalesce(
                    {{ without_address(without_address('document', 'query_ip'), 'event_ip') }},
                    cast(to_json({
                        'query_id': query_id,
                        'action_name': action_name,
                        'timestamp': coalesce(timestamp_text, cast(logged_at as string)),
                        'user_query': user_query,
                        'object_id': object_id,
                        'ordinal': ordinal
                    }) as string)
                )
        end as document,
        document_kind,
        action,
        action_name,
        query_id,
        user_query,
        client_id,
        logged_user_id,
        logged_session_id,
        logged_at,
        arrived_at,
        application,
        {# Some sources write the dwell only into the message ("... for 3.35 seconds"). #}
        coalesce(
            case when dwell_time >= 0 and isfinite(dwell_time) then dwell_time end,
            case
                when action = 'page_exit' then try_cast(
                    nullif(regexp_extract(message, 'for ([0-9]+([.][0-9]+)?) sec', 1), '')
                    as double
                )
            end
        ) as dwell_seconds,
        hit_ids,
        user_agent,
        {# Addresses leave staging only as salted hashes. #}
        {{ hash_address('coalesce(query_ip, event_ip)') }} as ip_hash,
        device,
        variant,
        model_version,
        is_randomised,
        object_id,
        ordinal,
        rejection_reason
    from judged

),

final as (

    select *
    from kept
    where
        not (
            {{ is_forgotten(
                ['client_id', 'logged_user_id', 'logged_session_id'],
                'query_id', 'coalesce(document, user_query)'
            ) | indent(8) }}
        )

)

select * from final
