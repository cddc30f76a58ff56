with

flat_rows as (

    select * from {{ ref('stg_flat__rows') }}
    where {{ is_replaced() }}

),

keyed as (

    select
        *,
        md5({{ normalize_query('query') }} || '|' || coalesce(logged_user_id, ''))
            as normalized_anchor,
        {# What a row says, whatever file says it: settles which of two rows stands for both. #}
        md5(concat_ws(
            '|', searched_at_text, query, rank_text, clicked_text,
            coalesce(logged_user_id, ''), coalesce(logged_session_id, ''),
            coalesce(cast(clicked_at as varchar), ''), coalesce(cast(dwell_seconds as varchar), ''),
            cast(is_converted as varchar), coalesce(user_agent, ''), coalesce(ip_hash, ''),
            coalesce(device, ''), coalesce(variant, ''), coalesce(model_version, ''),
            cast(is_randomised as varchar), coalesce(cast(rank_before_swap as varchar), ''),
            coalesce(cast(logging_propensity as varchar), ''),
            coalesce(cast(grade as varchar), '')
        )) as content_id
    from flat_rows

),

{# One search id stands for one search: the earliest usable row says which. #}
anchored as (

    select
        *,
        case
            when rejection_reason is null
                then first_value(normalized_anchor) over (
                    partition by search_key, rejection_reason is null
                    order by searched_at, normalized_anchor, source_file, row_number
                )
        end as search_anchor
    from keyed

),

consistent as (

    select
        * exclude (rejection_reason, normalized_anchor, search_anchor),
        case
            when rejection_reason is null and normalized_anchor <> search_anchor
                then 'conflicting_search'
            else rejection_reason
        end as rejection_reason
    from anchored

),

{#
    The same document twice in one search is one impression; a clicked row stands for it, then the
    best-placed.
#}
ranked as (

    select
        *,
        row_number() over (
            partition by search_key, doc_id, rejection_reason is null
            order by is_clicked desc, ordinal, clicked_at, content_id, source_file, row_number
        ) as delivery
    from consistent

),

final as (

    select
        * exclude (delivery, content_id),
        case when rejection_reason is null then delivery > 1 end as is_duplicate
    from ranked

)

select * from final
