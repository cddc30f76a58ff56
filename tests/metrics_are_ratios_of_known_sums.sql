{# A name that is no sum's would give a metric without a value, and say nothing. #}
with metrics as (
    select * from {{ ref('metrics') }}
),

sums as (
    {% for sum in offline_sums() %}
    select
        'offline' as stage,
        '{{ sum.name }}' as sum_name
    union all
    {% endfor %}
    {% for sum in canary_sums() %}
    select
        'canary' as stage,
        '{{ sum.name }}' as sum_name
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

named as (
    select
        stage,
        metric,
        numerator as sum_name
    from metrics

    union all

    select
        stage,
        metric,
        denominator as sum_name
    from metrics
)

select
    named.stage,
    named.metric,
    named.sum_name
from named
left join sums
    on
        named.stage = sums.stage
        and named.sum_name = sums.sum_name
where sums.sum_name is null
