{#
    The decay that ranks without an estimate of their own follow: the fitted one, drawn to what
    was known before by as much as its error leaves open (a normal prior). Before the log is read
    that is the var propensity_alpha; published curves of web and shop search decay with 0.3 to
    1.5, so half of them lie within its standard deviation of 0.5. Before a context is read it is
    the decay of all contexts together; devices of one site have been seen to differ by 0.2 to
    0.4.
#}
{% set default_std_dev = 0.5 %}
{% set context_std_dev = 0.3 %}

with

fits as (

    select *
    from {{ ref('int_propensity_power_law_fits') }}
    where estimator = 'fitted_power_law'

),

regimes as (

    select * from {{ ref('int_propensity_regimes') }}

),

{# The one context, or all of several together. #}
wholes as (

    select distinct case when n_contexts > 1 then '*' else context end as context
    from regimes

),

whole_alphas as (

    select
        wholes.context,
        fits.alpha as fitted_alpha,
        fits.alpha_std_error as fitted_std_error,
        (
            coalesce(fits.alpha / power(fits.alpha_std_error, 2), 0)
            + cast({{ var('propensity_alpha') }} as double) / power({{ default_std_dev }}, 2)
        )
        / (
            coalesce(1 / power(fits.alpha_std_error, 2), 0) + 1 / power({{ default_std_dev }}, 2)
        ) as alpha,
        1 / sqrt(
            coalesce(1 / power(fits.alpha_std_error, 2), 0) + 1 / power({{ default_std_dev }}, 2)
        ) as alpha_std_error
    from wholes
    left join fits
        on
            wholes.context = fits.context
            and fits.alpha_std_error > 0

),

{# Of the other contexts: their mean, each counting by the inverse of its variance. #}
others as (

    select
        here.context,
        {{ in_order('sum', 'there.alpha / power(there.alpha_std_error, 2)') }}
        / {{ in_order('sum', '1 / power(there.alpha_std_error, 2)') }} as alpha,
        1 / sqrt({{ in_order('sum', '1 / power(there.alpha_std_error, 2)') }}) as alpha_std_error
    from regimes as here
    inner join fits as there
        on here.context <> there.context
    where there.context <> '*' and there.alpha_std_error > 0
    group by here.context

),

part_alphas as (

    select
        regimes.context,
        fits.alpha as fitted_alpha,
        fits.alpha_std_error as fitted_std_error,
        whole_alphas.alpha as whole_alpha,
        (
            coalesce(fits.alpha / power(fits.alpha_std_error, 2), 0)
            + whole_alphas.alpha / power({{ context_std_dev }}, 2)
        )
        / (
            coalesce(1 / power(fits.alpha_std_error, 2), 0) + 1 / power({{ context_std_dev }}, 2)
        ) as alpha,
        1 / sqrt(
            coalesce(1 / power(fits.alpha_std_error, 2), 0)
            + 1 / (power({{ context_std_dev }}, 2) + power(whole_alphas.alpha_std_error, 2))
        ) as alpha_std_error,
        fits.alpha - others.alpha as difference,
        sqrt(power(fits.alpha_std_error, 2) + power(others.alpha_std_error, 2))
            as difference_std_error
    from regimes
    cross join whole_alphas
    left join fits
        on
            regimes.context = fits.context
            and fits.alpha_std_error > 0
    left join others
        on regimes.context = others.context
    where regimes.n_contexts > 1

),

final as (

    select
        context,
        fitted_alpha,
        fitted_std_error,
        cast(null as double) as whole_alpha,
        alpha,
        alpha_std_error,
        cast(null as double) as difference_from_others,
        cast(null as double) as difference_std_error,
        false as is_part
    from whole_alphas

    union all

    select
        context,
        fitted_alpha,
        fitted_std_error,
        whole_alpha,
        alpha,
        alpha_std_error,
        difference as difference_from_others,
        difference_std_error,
        true as is_part
    from part_alphas

)

select * from final
