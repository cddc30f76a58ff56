{# Whole days, counted back from the newest; seven of them hold each weekday once. #}
{% set days = var('drift_window_days') %}

with

searches as (

    select * from {{ ref('fct_searches') }}

),

log_span as (

    select
        min(searched_at) as log_start,
        max(searched_at) as log_end
    from searches
    -- noqa: disable=LT02
    {% if var('as_of') %}
    where searched_at < cast('{{ var("as_of") }}' as timestamp)
    {% endif %}
    -- noqa: enable=LT02

),

ends as (

    select
        *,
        date_trunc('day', log_end) + interval '1' day as current_end
    from log_span

),

starts as (

    select
        *,
        current_end - {{ days }} * interval '1' day as current_start,
        current_end - {{ 2 * days }} * interval '1' day as previous_start
    from ends

),

final as (

    select
        cast(log_start as timestamp) as log_start,
        cast(log_end as timestamp) as log_end,
        cast(previous_start as timestamp) as previous_start,
        cast(current_start as timestamp) as current_start,
        cast(current_end as timestamp) as current_end,
        coalesce(date_trunc('day', log_start) <= previous_start, false) as has_two_windows
    from starts

)

select * from final
