-- How does the newest challenger compare with the champion, metric by metric?
with

evaluations as (

    select * from {{ ref('fct_offline_evaluations') }}

),

newest as (

    select evaluation_id
    from evaluations
    order by evaluated_at desc nulls last, evaluation_id desc
    limit 1

),

final as (

    select
        evaluations.evaluation_id,
        evaluations.model_version,
        evaluations.champion_version,
        evaluations.window_start,
        evaluations.window_end,
        evaluations.metric,
        evaluations.value,
        evaluations.ci_low,
        evaluations.ci_high,
        evaluations.delta,
        evaluations.delta_ci_low,
        evaluations.delta_ci_high,
        evaluations.n,
        evaluations.n_users,
        evaluations.n_clicks,
        evaluations.evaluated_at,
        evaluations.is_champion,
        evaluations.is_gate_metric,
        evaluations.is_better
    from evaluations
    inner join newest on evaluations.evaluation_id = newest.evaluation_id

)

select * from final
order by is_gate_metric desc, metric, model_version
