{#
    The propensities in use, and the same ones standard error further to either side: all ranks
    together, since what is uncertain is above all how fast attention falls.
#}
with

propensities as (

    select * from {{ ref('fct_position_propensities') }}
    where is_active

),

diagnostics as (

    select * from {{ ref('fct_propensity_diagnostics') }}
    where is_active

),

{# A rank that follows a decay has no error of its own; that of the decay is all it has. #}
uncertain as (

    select
        propensities.context,
        propensities.rank,
        propensities.propensity,
        coalesce(
            propensities.std_error_log,
            diagnostics.alpha_std_error * ln(cast(propensities.rank as double)),
            0
        ) as std_error_log
    from propensities
    left join diagnostics on propensities.context = diagnostics.context

),

final as (

    {% for curve, sign in (('active', '0'), ('steeper', '-1'), ('flatter', '1')) %}
    select
        '{{ curve }}' as curve,
        context,
        rank,
        propensity * exp({{ sign }} * std_error_log) as propensity
    from uncertain
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select * from final
