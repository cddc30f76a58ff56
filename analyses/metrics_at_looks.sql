-- How did canary and champion compare at each look, metric by metric?
with

comparisons as (

    select * from {{ ref('fct_canary_comparisons') }}

),

final as (

    select
        deployment_id,
        look,
        metric,
        priority,
        label,
        kind,
        champion_value,
        canary_value,
        delta,
        ci_low,
        ci_high,
        e_value
    from comparisons

)

select * from final
order by deployment_id, priority, look
