-- clicks behind the propensities are those of the training window and no others
{{ config(group='propensity') }}

with cells as (
    select
        coalesce(sum(n_impressions), 0) as n_impressions,
        coalesce(sum(n_clicks), 0) as n_clicks
    from {{ ref('int_position_cells') }}
),

windowed as (
    select
        count(*) as n_impressions,
        coalesce(sum(impressions.clicked), 0) as n_clicks
    from {{ ref('fct_impressions') }} as impressions
    inner join {{ ref('int_windows') }} as windows
        on
            impressions.searched_at >= windows.window_start
            and impressions.searched_at < windows.window_end
)

select
    cells.*,
    windowed.n_impressions as n_impressions_in_window,
    windowed.n_clicks as n_clicks_in_window
from cells
cross join windowed
where
    cells.n_impressions <> windowed.n_impressions
    or cells.n_clicks <> windowed.n_clicks
