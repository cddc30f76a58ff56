{#
    Only the two newest windows are read, so the cost does not grow with the log.

    Visitors are hashed into their groups before anything is counted: once each, not once a row.
#}
with

searches as (

    select * from {{ ref('fct_searches') }}

),

impressions as (

    select * from {{ ref('fct_impressions') }}

),

windows as (

    select * from {{ ref('int_drift_windows') }}

),

visitors_in_windows as (

    select distinct searches.user_id
    from searches
    inner join windows
        on
            searches.searched_at >= windows.previous_start
            and searches.searched_at <= windows.log_end

),

visitors as (

    select
        user_id,
        {{ jackknife_group('user_id', var('jackknife_groups')) }} as jackknife_group
    from visitors_in_windows

),

searches_in_windows as (

    select
        searches.user_id,
        visitors.jackknife_group,
        cast(searches.searched_at as date) as search_date,
        searches.is_bot,
        searches.n_shown,
        searches.searched_at >= windows.current_start as is_current
    from searches
    inner join windows
        on
            searches.searched_at >= windows.previous_start
            and searches.searched_at <= windows.log_end
    inner join visitors
        on searches.user_id = visitors.user_id

),

impressions_in_windows as (

    select
        visitors.jackknife_group,
        impressions.rank,
        impressions.clicked,
        impressions.dwell_seconds,
        impressions.searched_at >= windows.current_start as is_current
    from impressions
    inner join windows
        on
            impressions.searched_at >= windows.previous_start
            and impressions.searched_at <= windows.log_end
    inner join visitors
        on impressions.user_id = visitors.user_id

),

{#
    A visitor-day, whatever the number of its searches: one busy crawler is no change of the
    traffic.
#}
visitor_days as (

    select
        user_id,
        jackknife_group,
        is_current,
        search_date,
        max(case when is_bot then 1 else 0 end) as is_bot_day
    from searches_in_windows
    group by user_id, jackknife_group, is_current, search_date

),

bots as (

    select
        jackknife_group,
        is_current,
        case when is_bot_day = 1 then 'bot' else 'human' end as cell,
        count(*) as n_units
    from visitor_days
    group by jackknife_group, is_current, case when is_bot_day = 1 then 'bot' else 'human' end

),

ranks as (

    select
        jackknife_group,
        is_current,
        {{ rank_band('rank') }} as cell,
        count(*) as n_units,
        sum(clicked) as n_clicks
    from impressions_in_windows
    group by jackknife_group, is_current, {{ rank_band('rank') }}

),

{# Lists that stop arriving, or come back empty, are a change of coverage too. #}
empty_lists as (

    select
        jackknife_group,
        is_current,
        count(*) as n_units
    from searches_in_windows
    where not is_bot and n_shown = 0
    group by jackknife_group, is_current

),

dwells as (

    select
        jackknife_group,
        is_current,
        {{ dwell_band('dwell_seconds') }} as cell,
        count(*) as n_units
    from impressions_in_windows
    where clicked = 1
    group by jackknife_group, is_current, {{ dwell_band('dwell_seconds') }}

),

all_cells as (

    select
        'click_rate_by_rank' as measure,
        jackknife_group,
        is_current,
        cell,
        n_units,
        n_clicks
    from ranks
    union all
    select
        'rank_coverage' as measure,
        jackknife_group,
        is_current,
        cell,
        n_units,
        0 as n_clicks
    from ranks
    union all
    select
        'rank_coverage' as measure,
        jackknife_group,
        is_current,
        'nothing shown' as cell,
        n_units,
        0 as n_clicks
    from empty_lists
    union all
    select
        'dwell' as measure,
        jackknife_group,
        is_current,
        cell,
        n_units,
        0 as n_clicks
    from dwells
    union all
    select
        'bot_share' as measure,
        jackknife_group,
        is_current,
        cell,
        n_units,
        0 as n_clicks
    from bots

),

final as (

    select
        cast(measure as string) as measure,
        cast(cell as string) as cell,
        jackknife_group,
        cast(sum(case when is_current then 0 else n_units end) as bigint) as n_previous,
        cast(sum(case when is_current then n_units else 0 end) as bigint) as n_current,
        cast(sum(case when is_current then 0 else n_clicks end) as bigint) as n_previous_clicks,
        cast(sum(case when is_current then n_clicks else 0 end) as bigint) as n_current_clicks
    from all_cells
    group by measure, cell, jackknife_group

)

select * from final
