{{ config(post_hook='{{ stop_without_usable_rows(this) }}') }}

{%- set payload_limit = 4000 -%}
with

documents as (

    select * from {{ ref('stg_ubi__documents') }}
    where {{ is_replaced() }}

),

queries as (

    select * from {{ ref('stg_ubi__queries') }}
    where {{ is_replaced() }}

),

events as (

    select * from {{ ref('int_ubi_events__judged') }}
    where {{ is_replaced() }}

),

flat_rows as (

    select * from {{ ref('int_flat_rows__judged') }}
    where {{ is_replaced() }}

),

ubi_rows as (

    select
        documents.document_id,
        documents.search_key,
        case documents.document_kind
            when 'query' then 'ubi_queries'
            when 'event' then 'ubi_events'
            else 'ubi_unknown'
        end as source,
        documents.source_file,
        documents.row_number,
        documents.logged_at,
        documents.arrived_at,
        documents.query_id as search_id,
        coalesce(documents.read_error, queries.rejection_reason, events.rejection_reason)
            as reason,
        {# A delivery that stands in neither was delivered before. #}
        coalesce(queries.is_superseded, events.document_id is null) as is_merged,
        documents.document as payload
    from documents
    left join queries on documents.document_id = queries.document_id
    left join events on documents.document_id = events.document_id

),

flat as (

    select
        document_id,
        search_key,
        'flat' as source,
        source_file,
        row_number,
        searched_at as logged_at,
        arrived_at,
        search_id,
        rejection_reason as reason,
        coalesce(is_duplicate, false) as is_merged,
        case
            when rejection_reason is not null
                then coalesce(
                    unread_text,
                    cast(to_json({
                        'search_id': search_id,
                        'searched_at': searched_at_text,
                        'query': query,
                        'doc_id': doc_id,
                        'rank': rank_text,
                        'clicked': clicked_text
                    }) as varchar)
                )
        end as payload
    from flat_rows

),

all_rows as (

    select * from ubi_rows
    union all
    select * from flat

),

final as (

    select
        document_id,
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
        case
            when reason is not null
                then {{ redact_addresses('substr(payload, 1, ' ~ payload_limit ~ ')') }}
        end as payload,
        case when reason is not null then length(payload) end as payload_length
    from all_rows

)

select * from final
