with

curves as (

    select
        *,
        estimator as source
    from {{ ref('int_propensity_curves') }}

),

auto_curves as (

    select * from {{ ref('int_propensity_auto') }}

),

fits as (

    select * from {{ ref('int_propensity_power_law_fits') }}

),

choices as (

    select * from {{ ref('int_propensity_choices') }}

),

all_curves as (

    select
        estimator,
        context,
        rank,
        propensity,
        std_error_log,
        n_replicates,
        n_impressions,
        n_clicks,
        min_clicks,
        is_identified,
        source
    from curves
    union all
    select
        estimator,
        context,
        rank,
        propensity,
        std_error_log,
        n_replicates,
        n_impressions,
        n_clicks,
        min_clicks,
        is_identified,
        source
    from auto_curves

),

{# Without a number of clicks that it needs a curve is whole as it is. #}
anchors as (

    select
        *,
        min_clicks is null as is_whole,
        coalesce(
            max(case when is_identified then rank end) over (
                partition by estimator, context
                order by rank
                rows between unbounded preceding and current row
            ),
            1
        ) as anchor_rank
    from all_curves

),

{# Below the last rank that is identified the curve falls on as the power law fitted to it. #}
completed as (

    select
        here.estimator,
        here.context,
        here.rank,
        case
            when here.is_whole or here.is_identified then here.propensity
            else
                coalesce(case when there.is_identified then there.propensity end, 1)
                * {{ power_law_propensity(
                    'here.rank',
                    'coalesce(fits.alpha, cast(' ~ var('propensity_alpha') ~ ' as double))'
                ) }}
                / {{ power_law_propensity(
                    'here.anchor_rank',
                    'coalesce(fits.alpha, cast(' ~ var('propensity_alpha') ~ ' as double))'
                ) }}
        end as exact_propensity,
        case when here.is_identified then here.std_error_log end as std_error_log,
        case when here.is_identified then here.n_replicates end as n_replicates,
        here.n_impressions,
        here.n_clicks,
        here.is_identified,
        case
            when here.is_whole or here.is_identified then here.source
            when fits.alpha is not null then 'fitted_power_law'
            else 'power_law'
        end as source
    from anchors as here
    left join anchors as there
        on
            here.estimator = there.estimator
            and here.context = there.context
            and here.anchor_rank = there.rank
    left join fits
        on
            here.estimator = fits.estimator
            and here.context = fits.context

),

quantiles as (

    select {{ standard_normal_quantile(0.5 + var('confidence_level') / 2) }} as normal_quantile

),

{# A fit differs in its last digits from run to run, and all that is made of it would too. #}
rounded as (

    select
        *,
        greatest(round(exact_propensity, 12), 0.000000000001) as propensity
    from completed

),

intervals as (

    select
        rounded.*,
        case
            when rounded.std_error_log is not null
                then
                    {{ student_t_quantile(
                        'quantiles.normal_quantile', '(rounded.n_replicates - 1)'
                    ) }}
                    * rounded.std_error_log
        end as half_width
    from rounded
    cross join quantiles

),

final as (

    select
        cast(intervals.estimator as string) as estimator,
        cast(intervals.context as string) as context,
        cast(intervals.rank as integer) as rank,
        cast(intervals.propensity as double) as propensity,
        cast(round(intervals.propensity * exp(-intervals.half_width), 12) as double) as ci_low,
        cast(round(intervals.propensity * exp(intervals.half_width), 12) as double) as ci_high,
        cast(intervals.std_error_log as double) as std_error_log,
        cast(intervals.n_impressions as bigint) as n_impressions,
        cast(intervals.n_clicks as bigint) as n_clicks,
        cast(intervals.is_identified as boolean) as is_identified,
        cast(intervals.source as string) as source,
        cast(intervals.estimator = choices.estimator as boolean) as is_active
    from intervals
    inner join choices
        on intervals.context = choices.context

)

select * from final
