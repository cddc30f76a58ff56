{#
    Places compare fairly within one set of serving models only (int_position_cells says why). But
    a log that names its model after the date has a set a day, and within a day one ranker shows a
    document at one rank: nothing is left to compare. Comparing across models can then make deep
    ranks look some 12 % better than they are, about 0.05 in alpha; where the fair comparison
    would leave alpha four times as uncertain as that, and the other would not, the smaller risk
    is taken.
#}
{% set max_alpha_std_error = 0.2 %}

with

cells as (

    select * from {{ ref('int_position_cells') }}

),

ranks as (

    select * from {{ ref('int_propensity_ranks') }}

),

contexts as (

    select
        context,
        count(*) over () as n_contexts
    from ranks
    group by context

),

within_regimes as (

    {{ alpha_information(
        'cells', ['serving_regime', 'query', 'doc_id'], var('propensity_alpha')
    ) | indent(4) }}

),

across_regimes as (

    {{ alpha_information('cells', ['query', 'doc_id'], var('propensity_alpha')) | indent(4) }}

),

errors as (

    select
        contexts.context,
        contexts.n_contexts,
        1 / sqrt(nullif(within_regimes.information, 0)) as std_error_within_regimes,
        1 / sqrt(nullif(across_regimes.information, 0)) as std_error_across_regimes
    from contexts
    left join within_regimes
        on contexts.context = within_regimes.context
    left join across_regimes
        on contexts.context = across_regimes.context

),

final as (

    select
        context,
        cast(n_contexts as integer) as n_contexts,
        std_error_within_regimes,
        std_error_across_regimes,
        coalesce(
            std_error_across_regimes
            < coalesce(std_error_within_regimes, {{ max_alpha_std_error }} + 1)
            and coalesce(std_error_within_regimes, {{ max_alpha_std_error }} + 1)
            > {{ max_alpha_std_error }},
            false
        ) as is_pooled_over_regimes
    from errors

)

select * from final
