-- What did the gate predict of each deployment, and what did users do?
with

ledger as (

    select * from {{ ref('fct_offline_online_ledger') }}

),

final as (

    select
        deployment_id,
        challenger_version,
        champion_version,
        offline_verdict,
        outcome,
        predicted_delta,
        predicted_ci_low,
        predicted_ci_high,
        observed_delta,
        observed_ci_low,
        observed_ci_high,
        support,
        changed_share,
        n_canary_users,
        is_consistent,
        started_at
    from ledger

)

select * from final
order by started_at, deployment_id
