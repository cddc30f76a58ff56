{{ config(materialized='view') }}

{# Every labelling function is a condition on one impression (the macro labelling_functions). #}
{% set listed = labelling_functions('click_weights') %}

with

click_weights as (

    select * from {{ ref('int_click_weights') }}

),

windows as (

    select * from {{ ref('int_windows') }}

),

{# Impressions are read once, however many functions there are. #}
counted as (

    select
        {% for function in listed %}
        sum(case when {{ function.answer }} then 1 else 0 end) as n_{{ function.name }},
        count({{ function.answer }}) as n_answers_of_{{ function.name }},
        {% endfor %}
        click_weights.query,
        click_weights.doc_id
    from click_weights
    group by click_weights.query, click_weights.doc_id

),

by_function as (

    {% for function in listed %}
    select
        query,
        doc_id,
        '{{ function.name }}' as labelling_function,
        {{ loop.index }} as function_number,
        n_{{ function.name }} as n_found,
        n_answers_of_{{ function.name }} as n_answers,
        {{ function.get('is_against', false) | lower }} as is_against
    from counted
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

{# Without an answer a function abstains: a share of nothing is null. #}
voted as (

    select
        *,
        cast(case when is_against then n_answers - n_found else n_found end as double)
        / nullif(n_answers, 0) as vote
    from by_function

),

final as (

    select
        cast(voted.query as string) as query,
        cast(voted.doc_id as string) as doc_id,
        cast(windows.window_start as timestamp) as window_start,
        cast(windows.window_end as timestamp) as window_end,
        cast(voted.labelling_function as string) as labelling_function,
        cast(voted.function_number as integer) as function_number,
        cast(voted.vote as double) as vote,
        cast(voted.n_found as bigint) as n_found,
        cast(voted.n_answers as bigint) as n_answers
    from voted
    cross join windows

)

select * from final
