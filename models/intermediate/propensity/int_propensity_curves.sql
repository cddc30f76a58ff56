{# A standard error from three groups or fewer says nothing, nor does the t expansion there. #}
{% set min_replicates = 4 %}
{#
    Relative change in the last step of a fit above which it has not converged. A slow fit still has
    some twenty times its last step before it.
#}
{% set max_last_step_change = 0.0001 %}

with

replicates as (

    select * from {{ ref('int_propensity_replicates') }}

),

components as (

    select * from {{ ref('int_rank_components') }}

),

logs as (

    select
        *,
        case when propensity > 0 then ln(propensity) end as log_propensity
    from replicates

),

estimates as (

    select *
    from logs
    where replicate = 0

),

replicate_counts as (

    select
        estimator,
        context,
        count(distinct replicate) as n_replicates
    from logs
    where replicate > 0
    group by estimator, context

),

variances as (

    select
        estimator,
        context,
        rank,
        count(log_propensity) as n_replicates,
        {{ jackknife_variance('log_propensity') }} as variance
    from logs
    where replicate > 0
    group by estimator, context, rank

),

{#
    A replicate that lacks this rank, or has no click at it, has no logarithm: then the estimate
    hangs on one group of users and has no interval.
#}
errors as (

    select
        variances.estimator,
        variances.context,
        variances.rank,
        variances.n_replicates,
        case
            when
                variances.n_replicates = replicate_counts.n_replicates
                and variances.n_replicates >= {{ min_replicates }}
                then sqrt(variances.variance)
        end as std_error_log
    from variances
    inner join replicate_counts
        on
            variances.estimator = replicate_counts.estimator
            and variances.context = replicate_counts.context

),

top_rank as (

    select
        estimates.estimator,
        estimates.context,
        estimates.n_clicks,
        components.component
    from estimates
    left join components
        on
            estimates.context = components.context
            and estimates.rank = components.rank
    where estimates.rank = 1

),

final as (

    select
        estimates.estimator,
        estimates.context,
        estimates.rank,
        estimates.propensity,
        errors.std_error_log,
        coalesce(errors.n_replicates, 0) as n_replicates,
        estimates.n_impressions,
        estimates.n_clicks,
        estimates.last_step_change,
        estimates.min_clicks,
        coalesce(
            estimates.log_propensity is not null
            and estimates.n_clicks >= estimates.min_clicks
            and top_rank.n_clicks >= estimates.min_clicks
            and errors.std_error_log is not null
            and coalesce(estimates.last_step_change, 0) <= {{ max_last_step_change }}
            and (not estimates.needs_ties or components.component = top_rank.component),
            false
        ) as is_identified
    from estimates
    left join errors
        on
            estimates.estimator = errors.estimator
            and estimates.context = errors.context
            and estimates.rank = errors.rank
    left join top_rank
        on
            estimates.estimator = top_rank.estimator
            and estimates.context = top_rank.context
    left join components
        on
            estimates.context = components.context
            and estimates.rank = components.rank

)

select * from final
