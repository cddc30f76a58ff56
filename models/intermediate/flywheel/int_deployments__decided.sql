with

decisions as (

    select * from {{ ref('fct_canary_decisions') }}

),

{# What later looks say changes nothing; while no look has decided, the latest one speaks. #}
numbered as (

    select
        *,
        row_number() over (
            partition by deployment_id
            order by case when is_final then 0 else 1 end, look desc
        ) as preference
    from decisions

),

final as (

    select
        deployment_id,
        look,
        look_date,
        decision,
        is_final,
        reason,
        metric,
        delta,
        ci_low,
        ci_high,
        e_value,
        srm_p,
        is_safe_to_ramp
    from numbered
    where preference = 1

)

select * from final
