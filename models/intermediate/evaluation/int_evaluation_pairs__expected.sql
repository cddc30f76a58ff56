{{ config(materialized='view') }}

with

pairs as (

    select * from {{ ref('int_evaluation_pairs__exposed') }}

),

fits as (

    select * from {{ ref('int_evaluation_orders__fitted') }}

),

{# How often the document that the challenger has at a rank was ever shown. #}
rank_support as (

    select
        evaluation_id,
        curve,
        challenger_rank,
        {{ ratio(
            exact_sum('case when shown_exposure > 0 then challenger_exposure else 0 end'),
            exact_sum('challenger_exposure')
        ) }} as seen_share
    from pairs
    group by evaluation_id, curve, challenger_rank

),

{#
    What either order says of a document: as much as the shown documents which that order has at
    the same rank; where none was shown there, as far as the fall of the other ranks leads.
#}
guesses as (

    select
        pairs.*,
        least(
            coalesce(
                exp(by_champion.intercept + by_champion.slope * ln(pairs.champion_rank)), 0
            ),
            1
        ) as champion_guess,
        least(
            coalesce(
                exp(by_challenger.intercept + by_challenger.slope * ln(pairs.challenger_rank)), 0
            ),
            1
        ) as challenger_guess,
        least(1, 2 * coalesce(rank_support.seen_share, 0)) / 2 as challenger_voice
    from pairs
    left join fits as by_champion
        on
            pairs.evaluation_id = by_champion.evaluation_id
            and pairs.curve = by_champion.curve
            and by_champion.side = 'champion'
    left join fits as by_challenger
        on
            pairs.evaluation_id = by_challenger.evaluation_id
            and pairs.curve = by_challenger.curve
            and by_challenger.side = 'challenger'
    left join rank_support
        on
            pairs.evaluation_id = rank_support.evaluation_id
            and pairs.curve = rank_support.curve
            and pairs.challenger_rank = rank_support.challenger_rank

),

expected as (

    select
        *,
        power(champion_guess, 1 - challenger_voice) * power(challenger_guess, challenger_voice)
            as expected_attraction
    from guesses

),

final as (

    select
        evaluation_id,
        curve,
        query,
        doc_id,
        n_impressions,
        n_clicks,
        shown_exposure,
        challenger_rank,
        champion_rank,
        challenger_exposure,
        champion_exposure,
        expected_attraction,
        shown_exposure > 0 as is_seen,
        case
            when shown_exposure > 0 then n_clicks / shown_exposure else expected_attraction
        end as attraction,
        case
            when shown_exposure > 0 then n_clicks / shown_exposure
            else least(champion_guess, challenger_guess) / {{ var('unseen_factor') }}
        end as attraction_low,
        case
            when shown_exposure > 0 then n_clicks / shown_exposure
            else
                least(
                    greatest(champion_guess, challenger_guess) * {{ var('unseen_factor') }}, 1
                )
        end as attraction_high
    from expected

)

select * from final
