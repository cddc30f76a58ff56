-- Which models were there, what became of each, and which one is champion?
with

models as (

    select * from {{ ref('dim_model_versions') }}

),

final as (

    select
        model_version,
        state,
        is_current_champion,
        registered_at,
        state_changed_at,
        window_start,
        window_end,
        fingerprint,
        metrics,
        reason
    from models

)

select * from final
order by registered_at desc nulls last, model_version
