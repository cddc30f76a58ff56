{{ config(
    materialized='incremental',
    meta={'replaces': {'pending_files': ['source_file']}, 'dated_by': 'searched_at'},
    pre_hook='{{ record_changed_inputs(this, is_before=true) }}',
    post_hook=['{{ record_changed_inputs(this) }}', '{{ record_loaded_files(\'flat\') }}'],
) }}

with

raw_rows as (

    select * from {{ source('raw', 'flat_rows') }}

),

files as (

    select * from {{ source('flywheel_state', 'pending_files') }}

),

arrived as (

    select
        raw_rows.*,
        files.arrived_at
    from raw_rows
    inner join files on raw_rows.source_file = files.source_file
    where files.is_named

),

numbered as (

    select
        *,
        row_number() over (
            partition by source_file
            order by row_index, row_tie
        ) as row_number
    from arrived

),

typed as (

    select
        md5(source_file || '#' || cast(row_number as varchar)) as document_id,
        source_file,
        cast(row_number as bigint) as row_number,
        arrived_at,
        read_error,
        {{ redact_addresses('unread_text') }} as unread_text,
        nullif(trim(search_id), '') as search_id,
        {{ parse_timestamp('searched_at') }} as searched_at,
        searched_at as searched_at_text,
        query,
        nullif(trim(doc_id), '') as doc_id,
        {{ try_integer('rank') }} as ordinal,
        rank as rank_text,
        coalesce(
            try_cast(clicked as boolean),
            case
                when try_cast(clicked as double) = 0 then false
                when try_cast(clicked as double) = 1 then true
            end
        ) as is_clicked,
        clicked as clicked_text,
        nullif(trim(user_id), '') as logged_user_id,
        nullif(trim(session_id), '') as logged_session_id,
        {{ parse_timestamp('clicked_at') }} as clicked_at,
        case
            when
                try_cast(dwell_seconds as double) >= 0
                and isfinite(try_cast(dwell_seconds as double))
                then try_cast(dwell_seconds as double)
        end as dwell_seconds,
        coalesce(try_cast(converted as boolean), try_cast(converted as double) > 0, false)
            as is_converted,
        nullif(trim(user_agent), '') as user_agent,
        {{ hash_address('ip') }} as ip_hash,
        device,
        nullif(trim(variant), '') as variant,
        nullif(trim(model_version), '') as model_version,
        coalesce(
            try_cast(is_randomised as boolean), try_cast(is_randomised as double) > 0, false
        ) as is_randomised,
        {{ try_integer('rank_before_swap') }} as rank_before_swap,
        try_cast(logging_propensity as double) as logging_propensity,
        try_cast(grade as double) as grade
    from numbered
    where read_error is null or read_error <> 'blank_line'

),

judged as (

    select
        *,
        case
            when read_error is not null then read_error
            when search_id is null then 'missing_search_id'
            when searched_at is null then 'missing_time'
            when {{ is_impossible_time('searched_at', 'arrived_at') }} then 'impossible_time'
            when coalesce({{ normalize_query('query') }}, '') = '' then 'missing_query'
            when length(query) > {{ var('max_query_length') }} then 'query_too_long'
            when doc_id is null then 'missing_document'
            when rank_text is null then 'missing_rank'
            when
                ordinal is null or ordinal < 0 or ordinal > {{ var('max_rank') }}
                then 'impossible_rank'
            when is_clicked is null then 'invalid_clicked'
        end as rejection_reason
    from typed

),

final as (

    select
        document_id,
        {# Whatever is decided about a row is decided among those of its search. #}
        coalesce(search_id, 'document:' || document_id) as search_key,
        source_file,
        row_number,
        arrived_at,
        unread_text,
        search_id,
        searched_at,
        searched_at_text,
        query,
        doc_id,
        ordinal,
        rank_text,
        is_clicked,
        clicked_text,
        logged_user_id,
        logged_session_id,
        clicked_at,
        dwell_seconds,
        is_converted,
        user_agent,
        ip_hash,
        device,
        variant,
        model_version,
        is_randomised,
        rank_before_swap,
        logging_propensity,
        grade,
        rejection_reason
    from judged
    where
        not (
            {{ is_forgotten(
                ['logged_user_id', 'logged_session_id'], 'search_id', 'unread_text'
            ) | indent(8) }}
        )

)

select * from final
