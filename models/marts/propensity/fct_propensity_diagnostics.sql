with

propensities as (

    select * from {{ ref('fct_position_propensities') }}

),

ranks as (

    select * from {{ ref('int_propensity_ranks') }}

),

curves as (

    select * from {{ ref('int_propensity_curves') }}

),

fits as (

    select * from {{ ref('int_propensity_power_law_fits') }}

),

shared_alphas as (

    select * from {{ ref('int_propensity_alphas') }}

),

components as (

    select * from {{ ref('int_rank_components') }}

),

choices as (

    select * from {{ ref('int_propensity_choices') }}

),

{#
    What each estimator would do to the clicks of the training window: all clicks of a rank carry
    the same weight.
#}
weights as (

    select
        propensities.estimator,
        propensities.context,
        propensities.is_active,
        ranks.n_clicks,
        {{ ips_weight('propensities.propensity', var('ips_clip')) }} as weight,
        1 / propensities.propensity > {{ var('ips_clip') }} as is_clipped
    from propensities
    inner join ranks
        on
            propensities.context = ranks.context
            and propensities.rank = ranks.rank

),

clicks as (

    select
        estimator,
        context,
        bool_or(is_active) as is_active,
        sum(n_clicks) as n_clicks,
        {{ effective_sample_size('weight', 'n_clicks') }} as effective_sample_size,
        max(case when n_clicks > 0 then weight end)
        / nullif({{ exact_sum('n_clicks * weight') }}, 0) as max_weight_share,
        cast(sum(case when is_clipped then n_clicks else 0 end) as double)
        / nullif(sum(n_clicks), 0) as clipped_share
    from weights
    group by estimator, context

),

graphs as (

    select
        context,
        count(distinct component) as n_connected_components
    from components
    group by context

),

convergence as (

    select
        estimator,
        context,
        max(last_step_change) as max_last_step_change
    from curves
    group by estimator, context

),

alphas as (

    select
        clicks.*,
        case clicks.estimator
            {% for estimator in estimators() if 'alpha' in estimator %}
            when '{{ estimator.name }}' then cast({{ estimator.alpha }} as double)
            {% endfor %}
            when 'auto' then shared_alphas.alpha
            else fits.alpha
        end as alpha,
        case
            when clicks.estimator <> 'auto' then fits.alpha_std_error
            when shared_alphas.fitted_alpha is not null or shared_alphas.is_part
                then shared_alphas.alpha_std_error
        end as alpha_std_error,
        shared_alphas.difference_from_others as alpha_difference,
        shared_alphas.difference_std_error as alpha_difference_std_error
    from clicks
    left join shared_alphas
        on clicks.context = shared_alphas.context
    left join fits
        on
            clicks.estimator = fits.estimator
            and clicks.context = fits.context

),

final as (

    select
        cast(alphas.estimator as string) as estimator,
        cast(alphas.context as string) as context,
        cast(alphas.is_active as boolean) as is_active,
        cast(alphas.n_clicks as bigint) as n_clicks,
        cast(alphas.effective_sample_size as double) as effective_sample_size,
        cast(alphas.max_weight_share as double) as max_weight_share,
        cast(alphas.clipped_share as double) as clipped_share,
        cast(alphas.alpha as double) as alpha,
        cast(alphas.alpha_std_error as double) as alpha_std_error,
        cast(alphas.alpha_difference as double) as alpha_difference,
        cast(alphas.alpha_difference_std_error as double) as alpha_difference_std_error,
        cast(coalesce(graphs.n_connected_components, 0) as integer) as n_connected_components,
        cast(convergence.max_last_step_change as double) as max_last_step_change,
        cast(null as double) as trust_bias_p,
        cast(choices.choice_reason as string) as choice_reason,
        cast(
            case alphas.estimator
                {% for estimator in estimators() if 'words' in estimator %}
                when '{{ estimator.name }}' then '{{ estimator.words }}'
                {% endfor %}
                else replace(alphas.estimator, '_', ' ')
            end as string
        ) as estimator_words,
        cast(
            case alphas.estimator
                {% for estimator in estimators() if 'min_clicks' not in estimator %}
                when '{{ estimator.name }}' then true
                {% endfor %}
                else false
            end as boolean
        ) as is_assumption
    from alphas
    inner join choices
        on alphas.context = choices.context
    left join graphs
        on alphas.context = graphs.context
    left join convergence
        on
            alphas.estimator = convergence.estimator
            and alphas.context = convergence.context

)

select * from final
