with

flat_rows as (

    select * from {{ ref('int_flat_rows__deduplicated') }}
    where {{ is_replaced() }}

),

conventions as (

    select * from {{ ref('int_applications__conventions') }}
    where source_format = 'flat'

),

ranked as (

    select
        flat_rows.* exclude (rejection_reason), -- noqa: RF02
        flat_rows.ordinal + 1 - conventions.rank_base as rank,
        flat_rows.rank_before_swap + 1 - conventions.rank_base as shifted_rank_before_swap,
        flat_rows.rejection_reason as early_reason
    from flat_rows
    -- where no row is usable there is no convention, and the rows must still be accounted for
    left join conventions on true

),

final as (

    select
        * exclude (early_reason, shifted_rank_before_swap, rank_before_swap),
        case when shifted_rank_before_swap >= 1 then shifted_rank_before_swap end
            as rank_before_swap,
        case
            when early_reason is not null then early_reason
            when rank < 1 or rank > {{ var('max_rank') }} then 'impossible_rank'
            when
                clicked_at < searched_at - interval '{{ var("clock_skew_seconds") }}' second
                or clicked_at > searched_at + interval '{{ var("attribution_minutes") }}' minute
                then 'click_outside_attribution'
        end as rejection_reason
    from ranked

)

select * from final
