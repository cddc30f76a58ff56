{{ config(
    materialized='incremental',
    meta={'replaces': {'changed_inputs': ['search_key']}},
) }}

with

keys as (

    select
        document_kind,
        case document_kind when 'query' then search_key else content_id end as shared_key
    from {{ ref('base_ubi__documents') }}
    where document_kind is not null and {{ is_replaced() }}

),

documents as (

    select
        *,
        case document_kind when 'query' then search_key else content_id end as shared_key
    from {{ ref('base_ubi__documents') }}
    where document_kind is not null and {{ is_replaced() }}

),

shared_keys as (

    select
        document_kind,
        shared_key
    from keys
    group by document_kind, shared_key
    having count(*) > 1

),

contested as (

    select documents.*
    from documents
    inner join shared_keys
        on
            documents.document_kind = shared_keys.document_kind
            and documents.shared_key = shared_keys.shared_key

),

{# Two deliveries of one document are one, as old as the first; its text is its identity. #}
deliveries as (

    select
        *,
        row_number() over (
            partition by document_kind, content_id order by source_file, row_number
        ) > 1 as is_repeated,
        min(arrived_at) over (partition by document_kind, content_id) as first_arrived_at
    from contested

),

judged as (

    select
        * exclude (rejection_reason),
        {{ document_rejection('first_arrived_at') }} as rejection_reason
    from deliveries

),

{#
    Searches sent at every keystroke share one query id: the last text is the search that was
    made, the earlier ones are merged into it.
#}
ranked as (

    select
        *,
        row_number() over (
            partition by document_kind, query_id, is_repeated, rejection_reason is null
            order by
                logged_at desc, length(user_query) desc, content_id, source_file, row_number
        ) as recency
    from judged

),

final as (

    select
        source_file,
        row_number,
        search_key,
        first_arrived_at as arrived_at,
        rejection_reason,
        is_repeated,
        document_kind = 'query' and not is_repeated and rejection_reason is null and recency > 1
            as is_superseded
    from ranked

)

select * from final
