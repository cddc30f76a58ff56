{{ config(
    materialized='incremental',
    meta={'replaces': {'changed_visitor_days': ['user_id', 'activity_date']}},
) }}

with

signals as (

    select * from {{ ref('int_visitor_days__bot_signals') }}
    where {{ is_replaced() }}

),

click_rates as (

    select * from {{ ref('int_applications__click_rates') }}

),

judged as (

    select
        signals.*,
        {{ few_clicks_chance(
            'signals.n_searches', 'signals.n_clicked_searches', 'click_rates.assumed_click_rate'
        ) | indent(8) }} as chance_of_few_clicks
    from signals
    left join click_rates on signals.application = click_rates.application

),

final as (

    {% for reason, condition in bot_rules().items() -%}
    select
        user_id,
        activity_date,
        '{{ reason }}' as bot_reason
    from judged
    where coalesce({{ condition }}, false)
    union all
    {% endfor %}
    {%- for reason, rule in few_clicks_rules().items() -%}
    select
        user_id,
        activity_date,
        '{{ reason }}' as bot_reason
    from judged
    where
        coalesce({{ rule.condition }}, false)
        and coalesce(chance_of_few_clicks <= {{ rule.max_chance }}, false)
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select * from final
