{{ config(materialized='view') }}

with

documents as (

    select * from {{ ref('base_ubi__documents') }}

),

queries as (

    select * from {{ ref('base_ubi__queries') }}

),

events as (

    select * from {{ ref('base_ubi__events') }}

),

final as (

    select
        case documents.document_kind
            when 'query' then 'ubi_queries'
            when 'event' then 'ubi_events'
            else 'ubi_unknown'
        end as source,
        documents.source_file,
        documents.row_number,
        documents.arrived_at,
        documents.logged_at,
        documents.search_key,
        documents.query_id as search_id,
        documents.user_query as query,
        documents.object_id as doc_id,
        documents.ordinal,
        documents.action_name as action,
        documents.document as payload,
        coalesce(documents.read_error, queries.rejection_reason, events.rejection_reason)
            as rejection_reason,
        {# A delivery that stands in neither was delivered before. #}
        coalesce(queries.is_superseded, events.document_id is null) as is_merged
    from documents
    left join queries on documents.document_id = queries.document_id
    left join events on documents.document_id = events.document_id

)

select * from final
