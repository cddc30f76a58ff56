{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='evaluation_id',
    on_schema_change='append_new_columns'
) }}

with

pairs as (

    select * from {{ ref('int_evaluation_pairs__exposed') }}
    where
        shown_exposure > 0
        {% if is_incremental() %}
        and evaluation_id not in (select kept.evaluation_id from {{ this }} as kept)
        {% endif %}

),

sided as (

    {% for side in ('challenger', 'champion') %}
    select
        evaluation_id,
        curve,
        '{{ side }}' as side,
        {# the logged order's middle rank may lie between two #}
        round({{ side }}_rank) as model_rank,
        n_clicks,
        shown_exposure
    from pairs
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

ranks as (

    select
        evaluation_id,
        curve,
        side,
        ln(model_rank) as log_rank,
        sum(n_clicks) as n_clicks,
        {{ exact_sum('shown_exposure') }} as exposure
    from sided
    group by evaluation_id, curve, side, model_rank

),

{# The error of a log rate is about one over the root of its clicks: clicks are the weights. #}
points as (

    select
        *,
        case
            when n_clicks >= {{ min_order_clicks() }} then cast(n_clicks as double) else 0
        end as weight,
        case
            when n_clicks >= {{ min_order_clicks() }} then ln({{ ratio('n_clicks', 'exposure') }})
            else 0
        end as log_rate
    from ranks

),

moments as (

    select
        evaluation_id,
        curve,
        side,
        {{ ratio('sum(n_clicks)', exact_sum('exposure')) }} as mean_rate,
        {{ exact_sum('weight') }} as weight,
        {{ ratio(exact_sum('weight * log_rank'), exact_sum('weight')) }} as mean_log_rank,
        {{ ratio(exact_sum('weight * log_rate'), exact_sum('weight')) }} as mean_log_rate,
        {{ ratio(exact_sum('weight * log_rank * log_rank'), exact_sum('weight')) }}
            as mean_squared_log_rank,
        {{ ratio(exact_sum('weight * log_rank * log_rate'), exact_sum('weight')) }}
            as mean_product
    from points
    group by evaluation_id, curve, side

),

{# An order that would put the worse first says nothing: then all ranks are alike. #}
slopes as (

    select
        *,
        least(
            coalesce(
                case
                    when mean_squared_log_rank - power(mean_log_rank, 2) > 1e-9
                        then
                            (mean_product - mean_log_rank * mean_log_rate)
                            / (mean_squared_log_rank - power(mean_log_rank, 2))
                end,
                0
            ),
            0
        ) as slope
    from moments

),

final as (

    select
        evaluation_id,
        curve,
        side,
        case
            when weight > 0 then mean_log_rate - slope * mean_log_rank
            when mean_rate > 0 then ln(mean_rate)
        end as intercept,
        slope
    from slopes

)

select * from final
