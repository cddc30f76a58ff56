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

{# Lines of text are numbered in their order; rows of other files have numbers. #}
numbered as (

    select
        *,
        row_number() over (
            partition by source_file
            order by row_index, row_tie
        ) as number_in_file
    from raw_rows
    where row_number is null
    union all
    select
        *,
        row_number as number_in_file
    from raw_rows
    where row_number is not null

),

{# What a file holds typed is taken as it is, what it spells out is read. #}
typed as (

    select
        numbered.source_file,
        cast(numbered.number_in_file as bigint) as row_number,
        files.arrived_at,
        numbered.read_error,
        {{ redact_addresses('numbered.unread_text') }} as unread_text,
        nullif(trim(numbered.search_id), '') as search_id,
        coalesce(numbered.searched_at, {{ parse_timestamp('numbered.searched_at_text') }})
            as searched_at,
        numbered.searched_at_text,
        numbered.query,
        nullif(trim(numbered.doc_id), '') as doc_id,
        coalesce(numbered.rank, {{ try_integer('numbered.rank_text') }}) as ordinal,
        coalesce(numbered.rank_text, cast(numbered.rank as varchar)) as rank_text,
        coalesce(
            numbered.clicked,
            try_cast(numbered.clicked_text as boolean),
            case
                when try_cast(numbered.clicked_text as double) = 0 then false
                when try_cast(numbered.clicked_text as double) = 1 then true
            end
        ) as is_clicked,
        numbered.clicked_text,
        nullif(trim(numbered.user_id), '') as logged_user_id,
        nullif(trim(numbered.session_id), '') as logged_session_id,
        coalesce(numbered.clicked_at, {{ parse_timestamp('numbered.clicked_at_text') }})
            as clicked_at,
        coalesce(numbered.dwell_seconds, try_cast(numbered.dwell_seconds_text as double))
            as dwell_seconds,
        coalesce(
            numbered.converted,
            try_cast(numbered.converted_text as boolean),
            try_cast(numbered.converted_text as double) > 0,
            false
        ) as is_converted,
        nullif(trim(numbered.user_agent), '') as user_agent,
        {{ hash_address('numbered.ip') }} as ip_hash,
        numbered.device,
        nullif(trim(numbered.variant), '') as variant,
        nullif(trim(numbered.model_version), '') as model_version,
        coalesce(
            numbered.is_randomised,
            try_cast(numbered.is_randomised_text as boolean),
            try_cast(numbered.is_randomised_text as double) > 0,
            false
        ) as is_randomised,
        coalesce(
            numbered.rank_before_swap, {{ try_integer('numbered.rank_before_swap_text') }}
        ) as ordinal_before_swap,
        coalesce(
            numbered.logging_propensity, try_cast(numbered.logging_propensity_text as double)
        ) as logging_propensity,
        coalesce(numbered.grade, try_cast(numbered.grade_text as double)) as grade
    from numbered
    inner join files on numbered.source_file = files.source_file
    where numbered.read_error is null or numbered.read_error <> 'blank_line'

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
                    'searched_at': coalesce(searched_at_text, cast(searched_at as varchar)),
                    'query': query,
                    'doc_id': doc_id,
                    'rank': rank_text,
                    'clicked': coalesce(clicked_text, cast(is_clicked as varchar))
                }) as varchar)
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
