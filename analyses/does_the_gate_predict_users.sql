-- Do users agree with what the gate predicted of each deployment?
with

ledger as (

    select * from {{ ref('fct_offline_online_ledger') }}
    where is_consistent is not null

),

final as (

    select
        offline_verdict,
        count(*) as n_deployments,
        avg(predicted_delta) as mean_predicted_delta,
        avg(observed_delta) as mean_observed_delta,
        avg(abs(gap)) as mean_absolute_gap,
        avg(case when is_consistent then 1.0 else 0.0 end) as consistent_share,
        corr(predicted_delta, observed_delta) as correlation,
        avg(support) as mean_support
    from ledger
    group by offline_verdict

)

select * from final
order by offline_verdict
