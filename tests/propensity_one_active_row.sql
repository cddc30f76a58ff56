-- every impression of the log finds exactly one active propensity, also outside the window
with shown as (
    select distinct
        propensity_context as context,
        rank
    from {{ ref('fct_impressions') }}
),

active as (
    select
        context,
        rank,
        count(*) as n_active
    from {{ ref('fct_position_propensities') }}
    where is_active
    group by context, rank
)

select
    coalesce(shown.context, active.context) as context,
    coalesce(shown.rank, active.rank) as rank,
    active.n_active
from shown
full outer join active
    on
        shown.context = active.context
        and shown.rank = active.rank
where coalesce(active.n_active, 0) <> 1
