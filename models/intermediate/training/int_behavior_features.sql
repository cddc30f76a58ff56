{{ config(materialized='view') }}

{#
    Each level is added up from the days by itself, and has a window of its own: who reads one level
    pays for that one, and a window over all three would sort every row by the level too.
#}
{% set levels = {
    'pair': ['query', 'doc_id'],
    'document': ['doc_id'],
    'all': [],
} %}
{% set sums = ['n_impressions', 'exposure', 'n_clicks', 'n_sat_clicks'] %}

with

behavior_days as (

    select * from {{ ref('int_behavior_days') }}

),

{% for level, keys in levels.items() -%}
{{ level }}_days as (

    select
        {% for key in keys %}
        {{ key }},
        {% endfor %}
        activity_date,
        {% for name in sums %}
        cast(sum({{ name }}) as decimal(38, 12)) as {{ name }},
        {% endfor %}
        max(shown_on) as shown_on
    from behavior_days
    group by {{ (keys + ['activity_date']) | join(', ') }}

),

{% endfor -%}
{% for level, keys in levels.items() -%}
{{ level }}_features as (

    select
        '{{ level }}' as level,
        {{ 'query' if 'query' in keys else 'cast(null as string) as query' }},
        {{ 'doc_id' if 'doc_id' in keys else 'cast(null as string) as doc_id' }},
        activity_date,
        coalesce(
            lead(activity_date) over days, cast('9999-12-31' as date)
        ) as next_activity_date,
        {% for name in sums %}
        cast(sum({{ name }}) over days_so_far as double) as {{ name }},
        {% endfor %}
        max(shown_on) over days_so_far as last_shown_on
    from {{ level }}_days
    window
        days as (
            {% if keys %}partition by {{ keys | join(', ') }}{% endif %} order by activity_date
        ),
        days_so_far as (
            {% if keys %}partition by {{ keys | join(', ') }}{% endif %} order by activity_date
            rows between unbounded preceding and current row
        )

),

{% endfor -%}
final as (

    {% for level in levels %}
    select * from {{ level }}_features
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select * from final
