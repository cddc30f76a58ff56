{# Train days only: a propensity that had seen the evaluation window would leak it. #}
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

-- a swap moves only two documents; the one that stood first is the same document at both places,
-- the others are where the ranker put them
marked as (
    select
        *,
        is_randomised and (is_swap_search = 0 or rank_before_swap = 1) as is_rank_by_chance
    from in_window
)

select
    propensity_context as context,
    jackknife_group,
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
    query,
    doc_id,
    rank,
    coalesce(is_rank_by_chance, false)
