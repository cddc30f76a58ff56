{{ config(
    materialized='incremental',
    meta={'replaces': {'changed_inputs': ['search_key']}},
) }}

with

flat_rows as (

    select * from {{ ref('base_flat__rows') }}
    where rejection_reason is null and {{ is_replaced({'search_key': 'search_id'}) }}

),

{# What is counted over all rows is read apart, by column: the rest is read of few searches. #}
told as (

    select
        search_id,
        doc_id,
        query,
        coalesce(logged_user_id, '') as logged_user_id
    from {{ ref('base_flat__rows') }}
    where rejection_reason is null and {{ is_replaced({'search_key': 'search_id'}) }}

),

contested_searches as (

    select search_id
    from told
    group by search_id
    having
        min(query) <> max(query)
        or min(logged_user_id) <> max(logged_user_id)

    union

    select search_id
    from told
    group by search_id, doc_id
    having count(*) > 1

),

keyed as (

    select
        flat_rows.*,
        {{ normalize_query('flat_rows.query') }} || '|' || coalesce(flat_rows.logged_user_id, '')
            as anchor
    from flat_rows
    inner join contested_searches on flat_rows.search_id = contested_searches.search_id

),

{# One search id stands for one search: the earliest usable row says which. #}
anchored as (

    select
        *,
        first_value(anchor) over (
            partition by search_id
            order by searched_at, anchor, source_file, row_number
        ) as search_anchor
    from keyed

),

conflicting as (

    select
        source_file,
        row_number,
        search_id as search_key,
        'conflicting_search' as rejection_reason,
        false as is_duplicate
    from anchored
    where anchor <> search_anchor

),

{#
    The same document twice in one search is one impression; a clicked row stands for it, then the
    best-placed. What a row says, whatever file says it, settles which of two rows stands for both.
#}
delivered as (

    select
        *,
        row_number() over (
            partition by search_id, doc_id
            order by
                is_clicked desc, ordinal, clicked_at, searched_at, query, logged_session_id,
                dwell_seconds, is_converted, user_agent, ip_hash, device, variant, model_version,
                is_randomised, ordinal_before_swap, logging_propensity, grade,
                source_file, row_number
        ) as delivery
    from anchored
    where anchor = search_anchor

),

repeated as (

    select
        source_file,
        row_number,
        search_id as search_key,
        cast(null as string) as rejection_reason,
        true as is_duplicate
    from delivered
    where delivery > 1

),

final as (

    select * from conflicting
    union all
    select * from repeated

)

select * from final
