with

signals as (

    select * from {{ ref('int_visitor_days__bot_signals') }}

),

reasons as (

    {% for reason, condition in bot_rules().items() -%}
    select
        user_id,
        activity_date,
        '{{ reason }}' as bot_reason
    from signals
    where coalesce({{ condition }}, false)
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select * from reasons
