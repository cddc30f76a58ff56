with

searches as (

    select * from {{ ref('fct_searches') }}

),

log_span as (

    select
        min(searched_at) as log_start,
        max(searched_at) as log_end
    from searches
    where
        not is_bot
        -- noqa: disable=LT02
        {% if var('as_of') %}
        and searched_at < cast('{{ var("as_of") }}' as timestamp)
        {% endif %}

),

evaluation_ends as (

    select
        log_start,
        log_end,
        log_end + interval '1' microsecond as evaluation_end
    from log_span

),

{# A log too short for whole days keeps its last quarter. #}
evaluation_starts as (

    select
        *,
        case
            when
                evaluation_end
                >= log_start + {{ 4 * var('evaluation_window_days') }} * interval '1' day
                then
                    date_trunc('day', evaluation_end)
                    - {{ var('evaluation_window_days') }} * interval '1' day
            else evaluation_end - (evaluation_end - log_start) / 4
        end as evaluation_start
    from evaluation_ends

),

{#
    The embargo: a click is attributed to a search for this long, so no click of the training window
    happens inside the evaluation window.
#}
window_ends as (

    select
        *,
        evaluation_start - {{ var('attribution_minutes') }} * interval '1' minute as window_end
    from evaluation_starts

),

window_starts as (

    select
        *,
        least(
            window_end,
            greatest(
                date_trunc('day', log_start),
                window_end - {{ var('training_window_days') }} * interval '1' day
            )
        ) as window_start
    from window_ends

),

final as (

    select
        cast(log_start as timestamp) as log_start,
        cast(log_end as timestamp) as log_end,
        cast(window_start as timestamp) as window_start,
        cast(window_end as timestamp) as window_end,
        cast(evaluation_start as timestamp) as embargo_end,
        cast(evaluation_start as timestamp) as evaluation_start,
        cast(evaluation_end as timestamp) as evaluation_end
    from window_starts

)

select * from final
