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

windows as (
    select * from {{ ref('int_windows') }}
),

in_window as (
    select
        impressions.*,
        {{ jackknife_group('impressions.user_id', var('jackknife_groups')) }} as jackknife_group,
        max(case when impressions.rank_before_swap is not null then 1 else 0 end)
            over (partition by impressions.search_id) as is_swap_search
    from impressions
    inner join windows
        on
            impressions.searched_at >= windows.window_start
            and impressions.searched_at < windows.window_end
),

days_served as (
    select distinct
        cast(searched_at as date) as search_date,
        coalesce(model_version, '?') as model_version
    from in_window
),

regimes as (
    select
        search_date,
        string_agg(model_version, ',' order by model_version) as serving_regime
    from days_served
    group by search_date
),

-- a swap moves only two documents; the one that stood first is the same document at both places,
-- the others are where the ranker put them
marked as (
    select
        in_window.*,
        regimes.serving_regime,
        in_window.is_randomised
        and (in_window.is_swap_search = 0 or in_window.rank_before_swap = 1) as is_rank_by_chance
    from in_window
    inner join regimes
        on cast(in_window.searched_at as date) = regimes.search_date
)

select
    propensity_context as context,
    jackknife_group,
    serving_regime,
    query,
    doc_id,
    cast(rank as integer) as rank,
    coalesce(is_rank_by_chance, false) as is_randomised,
    cast(count(*) as bigint) as n_impressions,
    cast(sum(clicked) as bigint) as n_clicks
from marked
group by
    propensity_context,
    jackknife_group,
    serving_regime,
    query,
    doc_id,
    rank,
    coalesce(is_rank_by_chance, false)
