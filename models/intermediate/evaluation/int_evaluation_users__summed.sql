{# Every sum is an aggregate over searches (the macro offline_sums). #}
{% set listed = offline_sums() %}

with

searches as (

    select * from {{ ref('int_evaluation_searches__scored') }}

),

{# Searches are read once, however many sums there are. #}
summed as (

    select
        {% for one in listed %}
        cast({{ one.sum }} as double) as {{ one.name }},
        {% endfor %}
        evaluation_id,
        side,
        model_version,
        user_id
    from searches
    group by evaluation_id, side, model_version, user_id

),

final as (

    {% for one in listed %}
    select
        evaluation_id,
        side,
        model_version,
        user_id,
        '{{ one.name }}' as sum_name,
        {{ one.name }} as value
    from summed
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select * from final
