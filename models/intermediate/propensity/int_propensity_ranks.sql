{#
    Every rank of the log gets a propensity, also ranks and contexts that only show up after the
    training window: the evaluation needs a weight for them too.
#}
with

impressions as (

    select * from {{ ref('fct_impressions') }}

),

cells as (

    select * from {{ ref('int_position_cells') }}

),

contexts as (

    select
        propensity_context as context,
        max(rank) as max_rank
    from impressions
    group by propensity_context

),

ranks as (

    select cast(numbers.id as integer) as rank
    from range(1, {{ var('max_rank') }} + 1) as numbers (id)

),

observed as (

    select
        context,
        rank,
        cast(sum(n_impressions) as bigint) as n_impressions,
        cast(sum(n_clicks) as bigint) as n_clicks
    from cells
    group by context, rank

),

final as (

    select
        contexts.context,
        ranks.rank,
        coalesce(observed.n_impressions, 0) as n_impressions,
        coalesce(observed.n_clicks, 0) as n_clicks
    from contexts
    inner join ranks
        on contexts.max_rank >= ranks.rank
    left join observed
        on
            contexts.context = observed.context
            and ranks.rank = observed.rank

)

select * from final
