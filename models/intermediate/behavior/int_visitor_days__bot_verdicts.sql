{{ config(
    materialized='incremental',
    incremental_predicates=[
        'exists (select 1 from flywheel_state.changed_visits where visitor = user_id and '
        ~ 'activity_date between cast(range_start as date) and cast(range_end as date))',
    ],
) }}

with

signals as (

    select * from {{ ref('int_visitor_days__bot_signals') }}
    where {{ is_changed_visitor_day('user_id', 'activity_date') | indent(4) }}

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
