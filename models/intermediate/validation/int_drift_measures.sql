{#
    A drift is an effect larger than its limit by more than noise, so that ten million rows do not
    make every difference an alarm and a hundred rows do not make one by accident. Noise is that of
    visitors, by leaving out one group of them at a time, which also takes out the bias: a distance
    is never negative, so noise alone puts it above zero.
#}
{% set measures = [
    ('click_rate_by_rank', var('drift_max_click_rate_distance'), 'clicks'),
    ('bot_share', var('drift_max_bot_distance'), 'visitor-days'),
    ('dwell', var('drift_max_dwell_distance'), 'clicked documents'),
    ('rank_coverage', var('drift_max_rank_distance'), 'documents shown'),
] %}
{% set min_units = var('drift_min_units') %}
{% set normal_quantile = standard_normal_quantile(1 - var('drift_alpha')) %}
{# Neither a standard error from fewer groups nor the t expansion there says anything. #}
{% set min_groups = 4 %}

with

cells as (

    select * from {{ ref('int_drift_cells') }}

),

windows as (

    select * from {{ ref('int_drift_windows') }}

),

measures as (

    {% for measure, limit, unit in measures %}
    select
        '{{ measure }}' as measure,
        cast({{ limit }} as double) as distance_limit,
        '{{ unit }}' as unit
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

totals as (

    select
        measure,
        cell,
        sum(n_previous) as n_previous,
        sum(n_current) as n_current,
        sum(n_previous_clicks) as n_previous_clicks,
        sum(n_current_clicks) as n_current_clicks
    from cells
    group by measure, cell

),

{# A group of visitors that one of the windows lacks would make the noise look smaller. #}
groups_seen as (

    select
        measure,
        jackknife_group
    from cells
    group by measure, jackknife_group
    having sum(n_previous) > 0 and sum(n_current) > 0

),

replicates as (

    select
        measure,
        jackknife_group as replicate
    from groups_seen
    union all
    select
        measure,
        0 as replicate
    from measures

),

{# Replicate 0 holds every visitor, replicate g all but those of group g. #}
replicate_cells as (

    select
        totals.measure,
        replicates.replicate,
        totals.cell,
        totals.n_previous - coalesce(cells.n_previous, 0) as n_previous,
        totals.n_current - coalesce(cells.n_current, 0) as n_current,
        totals.n_previous_clicks - coalesce(cells.n_previous_clicks, 0) as n_previous_clicks,
        totals.n_current_clicks - coalesce(cells.n_current_clicks, 0) as n_current_clicks
    from totals
    inner join replicates
        on totals.measure = replicates.measure
    left join cells
        on
            totals.measure = cells.measure
            and totals.cell = cells.cell
            and replicates.replicate = cells.jackknife_group

),

replicate_sums as (

    select
        measure,
        replicate,
        sum(n_previous) as sum_previous,
        sum(n_current) as sum_current,
        sum(n_previous_clicks) as sum_previous_clicks,
        sum(n_current_clicks) as sum_current_clicks
    from replicate_cells
    group by measure, replicate

),

{# A rank that only one window shows has no two click rates; that it is missing is coverage. #}
cell_values as (

    select
        replicate_cells.measure,
        replicate_cells.replicate,
        replicate_cells.cell,
        case
            when replicate_cells.measure = 'click_rate_by_rank'
                then
                    cast(replicate_cells.n_previous + replicate_cells.n_current as double)
                    / nullif(replicate_sums.sum_previous + replicate_sums.sum_current, 0)
            else 1
        end as exposure,
        case
            when replicate_cells.measure <> 'click_rate_by_rank'
                then
                    cast(replicate_cells.n_previous as double)
                    / nullif(replicate_sums.sum_previous, 0)
            when replicate_cells.n_previous > 0 and replicate_cells.n_current > 0
                then
                    cast(replicate_cells.n_previous_clicks as double) / replicate_cells.n_previous
        end as previous_value,
        case
            when replicate_cells.measure <> 'click_rate_by_rank'
                then
                    cast(replicate_cells.n_current as double)
                    / nullif(replicate_sums.sum_current, 0)
            when replicate_cells.n_previous > 0 and replicate_cells.n_current > 0
                then
                    cast(replicate_cells.n_current_clicks as double) / replicate_cells.n_current
        end as current_value
    from replicate_cells
    inner join replicate_sums
        on
            replicate_cells.measure = replicate_sums.measure
            and replicate_cells.replicate = replicate_sums.replicate

),

comparable_cells as (

    select
        *,
        exposure * previous_value as previous_mass,
        exposure * current_value as current_mass
    from cell_values
    where previous_value is not null and current_value is not null

),

distances as (

    select
        measure,
        replicate,
        {{ squared_hellinger_distance('previous_mass', 'current_mass') }} as squared_distance
    from comparable_cells
    group by measure, replicate

),

jackknives as (

    select
        measure,
        count(squared_distance) as n_groups,
        {{ exact_sum('squared_distance') }} / nullif(count(squared_distance), 0) as mean_distance,
        sqrt({{ jackknife_variance('squared_distance') }}) as std_error
    from distances
    where replicate > 0
    group by measure

),

ranked_cells as (

    select
        *,
        row_number() over (
            partition by measure
            order by power(sqrt(previous_mass) - sqrt(current_mass), 2) desc, cell
        ) as place
    from comparable_cells
    where replicate = 0

),

assembled as (

    select
        measures.measure,
        measures.distance_limit,
        measures.unit,
        windows.previous_start,
        windows.current_start,
        windows.current_end,
        windows.has_two_windows,
        case
            when measures.measure = 'click_rate_by_rank' then sums.sum_previous_clicks
            else sums.sum_previous
        end as n_previous,
        case
            when measures.measure = 'click_rate_by_rank' then sums.sum_current_clicks
            else sums.sum_current
        end as n_current,
        sums.sum_previous,
        sums.sum_current,
        jackknives.n_groups,
        jackknives.std_error,
        {# The bias falls as one over the number of visitors; this takes it out. #}
        jackknives.n_groups * distances.squared_distance
        - (jackknives.n_groups - 1) * jackknives.mean_distance as squared_distance,
        ranked_cells.cell,
        ranked_cells.previous_value,
        ranked_cells.current_value
    from measures
    cross join windows
    left join replicate_sums as sums
        on measures.measure = sums.measure and sums.replicate = 0
    left join distances
        on measures.measure = distances.measure and distances.replicate = 0
    left join jackknives
        on measures.measure = jackknives.measure
    left join ranked_cells
        on measures.measure = ranked_cells.measure and ranked_cells.place = 1

),

{# Clicks that stop altogether are the gravest drift, so one window with clicks is enough. #}
checked as (

    select
        *,
        coalesce(greatest(n_previous, n_current), 0) >= {{ min_units }}
        and coalesce(least(sum_previous, sum_current), 0) >= {{ min_units }} as has_enough_units,
        squared_distance is not null
        and coalesce(n_groups, 0) >= {{ [var('jackknife_groups'), min_groups] | max }}
            as has_enough_visitors,
        squared_distance
        - {{ student_t_quantile(normal_quantile, 'greatest(n_groups - 1, 3)') }} * std_error
            as squared_distance_low
    from assembled

),

judged as (

    select
        *,
        has_two_windows and has_enough_units and has_enough_visitors as is_enough_data,
        sqrt(greatest(squared_distance, 0)) as distance,
        sqrt(greatest(squared_distance_low, 0)) as distance_low
    from checked

),

final as (

    select
        cast(measure as string) as measure,
        cast(previous_start as timestamp) as previous_start,
        cast(current_start as timestamp) as current_start,
        cast(current_end as timestamp) as current_end,
        cast(unit as string) as unit,
        cast(coalesce(n_previous, 0) as bigint) as n_previous,
        cast(coalesce(n_current, 0) as bigint) as n_current,
        is_enough_data,
        cast(case when is_enough_data then distance end as double) as distance,
        cast(case when is_enough_data then distance_low end as double) as distance_low,
        distance_limit,
        is_enough_data and distance_low > distance_limit as is_drift,
        cast(cell as string) as cell,
        cast(previous_value as double) as previous_value,
        cast(current_value as double) as current_value,
        cast(
            case
                when not has_two_windows
                    then
                        'not enough data: the log is shorter than two windows of '
                        || '{{ var("drift_window_days") }} days'
                when not has_enough_units
                    then
                        'not enough data: ' || cast(coalesce(n_current, 0) as string) || ' ' || unit
                        || ', ' || cast(coalesce(n_previous, 0) as string)
                        || ' in the window before'
                when not has_enough_visitors
                    then
                        'not enough data: too few visitors for an error ('
                        || cast(coalesce(n_groups, 0) as string)
                        || ' of {{ var("jackknife_groups") }} groups)'
                else
                    'distance ' || {{ format_decimal('distance', 3) }}
                    || ' (at least ' || {{ format_decimal('distance_low', 3) }} || ', limit '
                    || {{ format_decimal('distance_limit', 3) }} || '), most at ' || cell
                    || ': ' || {{ format_decimal('current_value', 4) }} || ', before '
                    || {{ format_decimal('previous_value', 4) }}
            end as string
        ) as finding
    from judged

)

select * from final
