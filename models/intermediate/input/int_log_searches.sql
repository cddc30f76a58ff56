-- depends_on: {{ ref('int_input_rows__judged') }}, which stops the build of an unusable log

with

ubi_searches as (

    select * from {{ ref('int_ubi_searches__resolved') }}
    where {{ is_replaced() }}

),

flat_rows as (

    select * from {{ ref('int_flat_rows__judged') }}
    where rejection_reason is null and not is_duplicate and {{ is_replaced() }}

),

flat_numbered as (

    select
        *,
        row_number() over (
            partition by search_id order by searched_at, rank, doc_id, document_id
        ) as row_in_search
    from flat_rows

),

searches as (

    select
        'ubi' as source_format, search_key, search_id, searched_at, arrived_at, query,
        application, client_id, logged_user_id, logged_session_id, user_agent, ip_hash, device,
        variant, model_version, has_query_row
    from ubi_searches
    union all
    select
        'flat', search_key, search_id, searched_at, arrived_at, query,
        'flat', cast(null as varchar), logged_user_id, logged_session_id, user_agent, ip_hash,
        device, variant, model_version, true
    from flat_numbered
    where row_in_search = 1

),

final as (

    select
        search_key,
        search_id,
        source_format,
        application,
        {{ visitor_id('client_id', 'logged_user_id', 'logged_session_id', 'search_id') }}
            as user_id,
        logged_user_id,
        logged_session_id,
        searched_at,
        arrived_at,
        query,
        {{ normalize_query('query') }} as normalized_query,
        user_agent,
        ip_hash,
        device,
        variant,
        model_version,
        has_query_row
    from searches

)

select * from final
