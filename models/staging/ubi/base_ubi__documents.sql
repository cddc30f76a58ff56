{{ config(
    materialized='incremental',
    meta={'replaces': {'pending_files': ['source_file']}, 'dated_by': 'logged_at'},
    pre_hook='{{ record_changed_inputs(this, is_before=true) }}',
    post_hook=['{{ record_changed_inputs(this) }}', '{{ record_loaded_files(\'ubi\') }}'],
) }}

{# What each field is called inside a document, by version and by vendor. #}
{%- set fields = {
    'action_name': '$.action_name',
    'query_id': '$.query_id',
    'user_query': '$.user_query',
    'client_id': '$.client_id',
    'user_id': '$.user_id',
    'session_id': '$.session_id',
    'timestamp': '$.timestamp',
    'application': '$.application',
    'message': '$.message',
    'query_response_hit_ids': '$.query_response_hit_ids',
    'query_response_object_ids': '$.query_response_object_ids',
    'query_response_objects_ids': '$.query_response_objects_ids',
    'query_user_agent': '$.query_attributes.user_agent',
    'query_device': '$.query_attributes.device',
    'query_variant': '$.query_attributes.variant',
    'query_model_version': '$.query_attributes.model_version',
    'query_is_randomised': '$.query_attributes.is_randomised',
    'query_ip': '$.query_attributes.ip',
    'query_session_id': '$.query_attributes.session_id',
    'query_user_id': '$.query_attributes.user_id',
    'event_session_id': '$.event_attributes.session_id',
    'event_ip': '$.event_attributes.ip',
    'event_browser': '$.event_attributes.browser',
    'event_user_agent': '$.event_attributes.user_agent',
    'event_dwell_time': '$.event_attributes.dwell_time',
    'event_object_object_id': '$.event_attributes.object.object_id',
    'event_position_ordinal': '$.event_attributes.position.ordinal',
    'event_position_ordinal_index': '$.event_attributes.position.ordinal.index',
    'event_device': '$.event_attributes.device',
    'event_user_id': '$.event_attributes.user_id',
    'index_index': '$.index._index',
    'create_index': '$.create._index',
} -%}


with

raw_lines as (

    select * from {{ source('raw', 'ubi_lines') }}

),

files as (

    select * from {{ source('flywheel_state', 'pending_files') }}

),

{# A dump may be `index name, tab, document`; the bulk format puts the index on its own line. #}
separated as (

    select
        source_file,
        row_index,
        row_tie,
        read_error,
        line,
        nullif(regexp_extract(line, '^([A-Za-z0-9_.-]+)\t', 1), '') as tabbed_index,
        regexp_replace(line, '^[A-Za-z0-9_.-]+\t', '') as document
    from raw_lines

),

parsed as (

    select
        source_file,
        row_index,
        row_tie,
        read_error,
        line,
        tabbed_index,
        document,
        case
            when read_error is null then {{ json_strings('document', fields.values() | list) }}
        end as parsed
    from separated

),

extracted as (

    select
        *,
        -- noqa: disable=LT02
        {% for name in fields -%}
            parsed[{{ loop.index }}] as field_{{ name }}{{ ',' if not loop.last }}
        {% endfor %}
    from parsed

),

actions_marked as (

    select
        *,
        case
            when field_action_name is null and field_query_id is null
                then coalesce(field_index_index, field_create_index)
        end as action_index
    from extracted

),

numbered as (

    select
        *,
        row_number() over (
            partition by source_file order by row_index, row_tie
        ) as row_number,
        lag(action_index) over (
            partition by source_file order by row_index, row_tie
        ) as preceding_action_index
    from actions_marked

),

{# An action line is half of the row that follows it, not a row of its own. #}
documents as (

    select
        *,
        coalesce(tabbed_index, preceding_action_index) as index_name
    from numbered
    where action_index is null and trim(line) <> ''

),

classified as (

    select
        *,
        case
            when read_error is not null then null
            when parsed is null then null
            when index_name like '%queries%' then 'query'
            when index_name like '%events%' then 'event'
            when field_action_name is not null then 'event'
            when
                field_user_query is not null or field_query_id is not null
                then 'query'
        end as document_kind
    from documents

),

named as (

    select
        md5(source_file || '#' || cast(row_number as varchar)) as document_id,
        md5(document) as content_id,
        source_file,
        cast(row_number as bigint) as row_number,
        {# The text is kept for the quarantine, and no address with it. #}
        case
            when parsed is null then {{ redact_addresses('document') }}
            else {{ without_address(
                without_address('document', 'field_query_ip'), 'field_event_ip'
            ) }}
        end as document,
        document_kind,
        case
            when read_error is not null then read_error
            when parsed is null then 'malformed_json'
            when document_kind is null then 'not_a_ubi_document'
        end as read_error,
        lower(trim(field_action_name)) as action_name,
        nullif(trim(field_query_id), '') as query_id,
        field_user_query as user_query,
        nullif(trim(field_client_id), '') as client_id,
        nullif(trim(coalesce(
            field_user_id,
            field_event_user_id,
            field_query_user_id
        )), '') as logged_user_id,
        nullif(trim(coalesce(
            field_session_id,
            field_event_session_id,
            field_query_session_id
        )), '') as logged_session_id,
        nullif(trim(field_timestamp), '') as timestamp_text,
        coalesce(nullif(trim(field_application), ''), 'default') as application,
        field_message as message,
        coalesce(
            field_query_response_hit_ids,
            field_query_response_object_ids,
            field_query_response_objects_ids
        ) as hit_ids,
        nullif(trim(coalesce(
            field_query_user_agent,
            field_event_user_agent,
            field_event_browser
        )), '') as user_agent,
        coalesce(field_query_ip, field_event_ip) as ip,
        coalesce(field_query_device, field_event_device)
            as device,
        nullif(field_query_variant, '') as variant,
        nullif(field_query_model_version, '') as model_version,
        coalesce(try_cast(field_query_is_randomised as boolean), false)
            as is_randomised,
        try_cast(field_event_dwell_time as double) as dwell_time,
        nullif(trim(field_event_object_object_id), '') as object_id,
        coalesce(
            {{ try_integer('field_event_position_ordinal_index') }},
            {{ try_integer('field_event_position_ordinal') }}
        ) as ordinal
    from classified

),

final as (

    select
        named.document_id,
        named.content_id,
        {# Whatever is decided about a document is decided among those of its search. #}
        coalesce(
            named.query_id, 'document:' || coalesce(named.content_id, named.document_id)
        ) as search_key,
        named.source_file,
        named.row_number,
        named.document,
        named.document_kind,
        named.read_error,
        named.action_name,
        named.query_id,
        named.user_query,
        named.client_id,
        named.logged_user_id,
        named.logged_session_id,
        named.timestamp_text,
        {{ parse_timestamp('named.timestamp_text') }} as logged_at,
        files.arrived_at,
        named.application,
        named.message,
        named.hit_ids,
        named.user_agent,
        {# Addresses leave staging only as salted hashes. #}
        {{ hash_address('named.ip') }} as ip_hash,
        named.device,
        named.variant,
        named.model_version,
        named.is_randomised,
        named.dwell_time,
        named.object_id,
        named.ordinal
    from named
    inner join files on named.source_file = files.source_file
    where
        files.is_named
        and not (
            {{ is_forgotten(
                ['named.client_id', 'named.logged_user_id', 'named.logged_session_id'],
                'named.query_id', 'named.document'
            ) | indent(8) }}
        )

)

select * from final
