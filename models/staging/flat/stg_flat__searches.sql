{{ config(materialized='view') }}

with

usable as (

    select * from {{ ref('base_flat__usable') }}

),

places as (

    select
        search_id,
        searched_at,
        ordinal
    from {{ ref('base_flat__usable') }}

),

{# What the rows of a search say of it, the first of them says; few have two that come first. #}
earliest as (

    select
        search_id,
        min((searched_at, ordinal)) as place
    from places
    group by search_id

),

candidates as (

    select usable.*
    from usable
    inner join earliest
        on
            usable.search_id = earliest.search_id
            and (usable.searched_at, usable.ordinal) = earliest.place

),

numbered as (

    select
        *,
        row_number() over (
            partition by search_id order by doc_id, source_file, row_number
        ) as row_in_search
    from candidates

),

final as (

    select
        search_id as search_key,
        search_id,
        searched_at,
        arrived_at,
        query,
        'flat' as application,
        cast(null as string) as client_id,
        logged_user_id,
        logged_session_id,
        user_agent,
        ip_hash,
        device,
        variant,
        model_version,
        true as has_query_row
    from numbered
    where row_in_search = 1

)

select * from final
