with

queries as (

    select * from {{ ref('stg_ubi__queries') }}
    where
        rejection_reason is null and not is_superseded and hit_ids is not null
        and {{ is_replaced() }}

),

hits as (

    {{ unnest_with_position(
        'queries', ['search_key', 'search_id'], 'hit_ids', 'doc_id', 'hit_rank'
    ) }}

),

final as (

    select
        search_key,
        search_id,
        doc_id,
        cast(min(hit_rank) as bigint) as hit_rank
    from hits
    where doc_id is not null
    group by search_key, search_id, doc_id

)

select * from final
