{{ config(materialized='view') }}

with

documents as (

    select * from {{ ref('base_ubi__documents') }}

),

contested as (

    select * from {{ ref('base_ubi__contested') }}

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
        {# Of several deliveries, one is judged. #}
        case
            when contested.row_number is null then documents.rejection_reason
            when not contested.is_repeated then contested.rejection_reason
        end as rejection_reason,
        coalesce(contested.is_repeated or contested.is_superseded, false) as is_merged
    from documents
    left join contested
        on
            documents.source_file = contested.source_file
            and documents.row_number = contested.row_number

)

select * from final
