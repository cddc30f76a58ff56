{#
    Train days only: a propensity that had seen the evaluation window would leak it.

    Rankers learn from clicks, so a document is moved up where it was lucky, and its clicks fall
    back afterwards: comparing its places before and after a change of model would blame the top
    rank for that. Within the days served by one set of models the order is fixed beforehand, and
    places compare fairly.
#}
with impressions as (
    select * from {{ ref('fct_impressions') }}
),

daily_cells as (
    select * from {{ ref('int_impression_cells__daily') }}
),

windows as (
    select * from {{ ref('int_windows') }}
),

whole_days as (
    select daily_cells.*
    from daily_cells
    inner join windows
        on
            daily_cells.search_date >= windows.window_start
            and daily_cells.search_date + interval '1' day <= windows.window_end
),

{# The window may begin or end within a day: of that day only a part counts. #}
of_broken_days as (
    select impressions.*
    from impressions
    inner join windows
        on
            impressions.searched_at >= windows.window_start
            and impressions.searched_at < windows.window_end
    where
        date_trunc('day', impressions.searched_at) < windows.window_start
        or date_trunc('day', impressions.searched_at) + interval '1' day > windows.window_end
),

broken_days as (
    {{ impression_cells('of_broken_days') | indent(4) }}
),

all_days as (
    select * from whole_days
    union all
    select * from broken_days
),

days_served as (
    select distinct
        search_date,
        model_version
    from all_days
),

regimes as (
    select
        search_date,
        string_agg(model_version, ',' order by model_version) as serving_regime
    from days_served
    group by search_date
)

select
    all_days.context,
    all_days.jackknife_group,
    regimes.serving_regime,
    all_days.query,
    all_days.doc_id,
    all_days.rank,
    all_days.is_randomised,
    cast(sum(all_days.n_impressions) as bigint) as n_impressions,
    cast(sum(all_days.n_clicks) as bigint) as n_clicks,
    {{ exact_sum('all_days.weighted_impressions') }} as weighted_impressions,
    {{ exact_sum('all_days.weighted_clicks') }} as weighted_clicks
from all_days
inner join regimes
    on all_days.search_date = regimes.search_date
group by
    all_days.context,
    all_days.jackknife_group,
    regimes.serving_regime,
    all_days.query,
    all_days.doc_id,
    all_days.rank,
    all_days.is_randomised
