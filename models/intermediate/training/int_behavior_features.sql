with behavior_days as (
    select * from {{ ref('int_behavior_days') }}
),

days as (
    select
        case
            when grouping(doc_id) = 1 then 'all'
            when grouping(query) = 1 then 'document'
            else 'pair'
        end as level,
        query,
        doc_id,
        activity_date,
        {{ behavior_sums() | indent(8) }}
    from behavior_days
    group by grouping sets (
        (query, doc_id, activity_date),
        (doc_id, activity_date),
        (activity_date)
    )
)

select
    level,
    query,
    doc_id,
    activity_date,
    coalesce(
        lead(activity_date) over (partition by level, query, doc_id order by activity_date),
        cast('9999-12-31' as date)
    ) as next_activity_date,
    {% for name in ['n_impressions', 'exposure', 'n_clicks', 'n_sat_clicks'] %}
    cast(
        sum(cast({{ name }} as decimal(38, 12))) over (
            partition by level, query, doc_id
            order by activity_date
            rows between unbounded preceding and current row
        ) as double
    ) as {{ name }},
    {% endfor %}
    max(last_shown_on) over (
        partition by level, query, doc_id
        order by activity_date
        rows between unbounded preceding and current row
    ) as last_shown_on
from days
