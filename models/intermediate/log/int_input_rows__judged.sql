{{ config(materialized='view') }}

{%- set payload_limit = 4000 -%}
with

united as (

    select * from {{ ref('int_rows__united') }}

),

rejected as (

    select * from {{ ref('int_rows__rejected') }}

),

rows_with_reasons as (

    select
        united.* exclude (rejection_reason), -- noqa: RF02
        coalesce(united.rejection_reason, rejected.rejection_reason) as reason
    from united
    left join rejected
        on
            united.source_file = rejected.source_file
            and united.row_number = rejected.row_number

),

{# Text is kept of what could not be read; what could is written down again. #}
told as (

    select
        *,
        case
            when reason is not null
                then coalesce(payload, {{ row_as_json() | indent(20) }})
        end as text
    from rows_with_reasons

),

final as (

    select
        md5(source_file || '#' || cast(row_number as string)) as document_id,
        search_key,
        source,
        source_file,
        row_number,
        logged_at,
        arrived_at,
        search_id,
        case
            when reason is not null then 'quarantined'
            when is_merged then 'merged'
            else 'used'
        end as outcome,
        reason,
        {{ redact_addresses('substr(text, 1, ' ~ payload_limit ~ ')') }} as payload,
        length(text) as payload_length
    from told

)

select * from final
