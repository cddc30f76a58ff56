-- What did each look at each canary say, and which look decides it?
with

looks as (

    select * from {{ ref('fct_canary_decisions') }}

),

decided as (

    select * from {{ ref('int_deployments__decided') }}

),

final as (

    select
        looks.deployment_id,
        looks.look,
        looks.look_date,
        looks.decision,
        looks.reason,
        looks.e_value,
        looks.ci_low,
        looks.ci_high,
        looks.delta,
        looks.metric,
        looks.srm_p,
        looks.n_champion_users,
        looks.n_canary_users,
        looks.is_final,
        looks.n_mixed_users,
        looks.canary_share,
        decided.look is not null as is_deciding
    from looks
    left join decided
        on
            looks.deployment_id = decided.deployment_id
            and looks.look = decided.look

)

select * from final
order by deployment_id, look
