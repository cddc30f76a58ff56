-- How many equally weighted clicks is the log worth under each estimator?
with

diagnostics as (

    select * from {{ ref('fct_propensity_diagnostics') }}

),

final as (

    select
        estimator,
        estimator_words,
        context,
        is_active,
        n_clicks,
        effective_sample_size,
        max_weight_share,
        clipped_share,
        alpha,
        alpha_std_error,
        n_connected_components,
        choice_reason
    from diagnostics

)

select * from final
order by is_active desc, estimator, context
