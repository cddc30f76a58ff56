{{ config(materialized='view') }}

with

documents as (

    select * from {{ ref('base_ubi__documents') }}
    where document_kind is not null

),

contested as (

    select * from {{ ref('base_ubi__contested') }}

),

final as (

    select
        documents.* exclude (arrived_at, rejection_reason),
        coalesce(contested.arrived_at, documents.arrived_at) as arrived_at,
        case
            when contested.row_number is null then documents.rejection_reason
            else contested.rejection_reason
        end as rejection_reason,
        coalesce(contested.is_superseded, false) as is_superseded
    from documents
    left join contested
        on
            documents.source_file = contested.source_file
            and documents.row_number = contested.row_number
    where contested.row_number is null or not contested.is_repeated

)

select * from final
