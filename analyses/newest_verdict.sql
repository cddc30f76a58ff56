-- What did the gate say of the newest challenger?
with

verdicts as (

    select * from {{ ref('fct_offline_verdicts') }}

),

final as (

    select
        evaluation_id,
        model_version,
        verdict,
        reason,
        is_deployable,
        relative_delta,
        relative_delta_ci_low,
        relative_delta_ci_high,
        support,
        evaluated_at
    from verdicts

)

select * from final
order by evaluated_at desc nulls last, evaluation_id desc
limit 1
