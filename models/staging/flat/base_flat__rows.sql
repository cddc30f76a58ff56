{{ config(
    materialized='incremental',
    meta={
        'replaces': {'pending_files': ['source_file']},
        'dated_by': 'searched_at',
        'search_key': 'search_id',
    },
    pre_hook='{{ record_changed_inputs(this, is_before=true) }}',
    post_hook=['{{ record_changed_inputs(this) }}', '{{ record_loaded_files(\'flat\') }}'],
) }}

with

raw_rows as (

    select * from {{ source('raw', 'flat_rows') }}

),

files as (

    select * from {{ source('flywheel_state', 'pending_files') }}
    where is_named

),

{# What a file holds typed is taken as it is, what it spells out is read. #}
typed as (

    select
        raw_rows.source_file,
        raw_rows.row_number,
        files.arrived_at,
        raw_rows.read_error,
        {{ redact_addresses('raw_rows.unread_text') }} as unread_text,
        nullif(trim(raw_rows.search_id), '') as search_id,
        coalesce(raw_rows.searched_at, {{ parse_timestamp('raw_rows.searched_at_text') }})
            as searched_at,
        raw_rows.searched_at_text,
        raw_rows.query,
        nullif(trim(raw_rows.doc_id), '') as doc_id,
        coalesce(raw_rows.rank, {{ try_integer('raw_rows.rank_text') }}) as ordinal,
        coalesce(raw_rows.rank_text, cast(raw_rows.rank as string)) as rank_text,
        coalesce(
            raw_rows.clicked,
            try_cast(raw_rows.clicked_text as boolean),
            case
                when try_cast(raw_rows.clicked_text as double) = 0 then false
                when try_cast(raw_rows.clicked_text as double) = 1 then true
            end
        ) as is_clicked,
        raw_rows.clicked_text,
        nullif(trim(raw_rows.user_id), '') as logged_user_id,
        nullif(trim(raw_rows.session_id), '') as logged_session_id,
        coalesce(raw_rows.clicked_at, {{ parse_timestamp('raw_rows.clicked_at_text') }})
            as clicked_at,
        coalesce(raw_rows.dwell_seconds, try_cast(raw_rows.dwell_seconds_text as double))
            as dwell_seconds,
        coalesce(
            raw_rows.converted,
            try_cast(raw_rows.converted_text as boolean),
            try_cast(raw_rows.converted_text as double) > 0,
            false
        ) as is_converted,
        nullif(trim(raw_rows.user_agent), '') as user_agent,
        {{ hash_address('raw_rows.ip') }} as ip_hash,
        raw_rows.device,
        nullif(trim(raw_rows.variant), '') as variant,
        nullif(trim(raw_rows.model_version), '') as model_version,
        coalesce(
            raw_rows.is_randomised,
            try_cast(raw_rows.is_randomised_text as boolean),
            try_cast(raw_rows.is_randomised_text as double) > 0,
            false
        ) as is_randomised,
        coalesce(
            raw_rows.rank_before_swap, {{ try_integer('raw_rows.rank_before_swap_text') }}
        ) as ordinal_before_swap,
        coalesce(
            raw_rows.logging_propensity, try_cast(raw_rows.logging_propensity_text as double)
        ) as logging_propensity,
        coalesce(raw_rows.grade, try_cast(raw_rows.grade_text as double)) as grade
    from raw_rows
    inner join files on raw_rows.source_file = files.source_file
    where raw_rows.read_error is null or raw_rows.read_error <> 'blank_line'

),

judged as (

    select
        *,
        case
            when read_error is not null then read_error
            when search_id is null then 'missing_search_id'
            when searched_at is null then 'missing_time'
            when {{ is_impossible_time('searched_at', 'arrived_at') }} then 'impossible_time'
            when not {{ has_text('query') }} then 'missing_query'
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

{# Text is kept only of what cannot be used. #}
final as (

    select
        source_file,
        row_number,
        arrived_at,
        search_id,
        searched_at,
        query,
        doc_id,
        ordinal,
        is_clicked,
        logged_user_id,
        logged_session_id,
        clicked_at,
        case when dwell_seconds >= 0 and isfinite(dwell_seconds) then dwell_seconds end
            as dwell_seconds,
        is_converted,
        user_agent,
        ip_hash,
        device,
        variant,
        model_version,
        is_randomised,
        ordinal_before_swap,
        logging_propensity,
        grade,
        rejection_reason,
        unread_text,
        case
            when rejection_reason is not null and unread_text is null
                then cast(to_json({
                    'search_id': search_id,
                    'searched_at': coalesce(searched_at_text, cast(searched_at as string)),
                    'query': query,
                    'doc_id': doc_id,
                    'rank': rank_text,
                    'clicked': coalesce(clicked_text, cast(is_clicked as string))
                }) as string)
        end as rejected_text
    from judged
    where
        not (
            {{ is_forgotten(
                ['logged_user_id', 'logged_session_id'], 'search_id', 'unread_text'
            ) | indent(8) }}
        )

)

select * from final
