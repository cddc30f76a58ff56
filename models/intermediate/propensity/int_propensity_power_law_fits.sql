{#
    propensity = rank ** -alpha, so log propensity is a line through the origin in log rank; each
    rank counts by the inverse of its variance. The textbook standard error would take the ranks as
    independent, but all of them are divided by the same rank 1: the jackknife knows that.
#}
with

curves as (

    select * from {{ ref('int_propensity_curves') }}

),

replicates as (

    select * from {{ ref('int_propensity_replicates') }}

),

points as (

    select
        replicates.estimator,
        replicates.context,
        replicates.replicate,
        ln(cast(replicates.rank as double)) as log_rank,
        ln(replicates.propensity) as log_propensity,
        1 / power(curves.std_error_log, 2) as precision_weight
    from replicates
    inner join curves
        on
            replicates.estimator = curves.estimator
            and replicates.context = curves.context
            and replicates.rank = curves.rank
    where curves.is_identified and replicates.rank > 1 and curves.std_error_log > 0

),

slopes as (

    select
        estimator,
        context,
        replicate,
        -{{ in_order('sum', 'precision_weight * log_rank * log_propensity') }}
        / {{ in_order('sum', 'precision_weight * log_rank * log_rank') }} as alpha,
        count(*) as n_ranks
    from points
    group by estimator, context, replicate

),

errors as (

    select
        estimator,
        context,
        sqrt({{ jackknife_variance('alpha') }}) as alpha_std_error
    from slopes
    where replicate > 0
    group by estimator, context

),

final as (

    select
        slopes.estimator,
        slopes.context,
        slopes.alpha,
        errors.alpha_std_error,
        cast(slopes.n_ranks as integer) as n_ranks
    from slopes
    inner join errors
        on
            slopes.estimator = errors.estimator
            and slopes.context = errors.context
    where slopes.replicate = 0

)

select * from final
