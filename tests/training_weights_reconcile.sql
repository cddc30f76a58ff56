-- no weight is lost or made up between clicks, pairs and groups
{{ config(group='training') }}

with clicks as (
    select
        coalesce(sum(ips_label), 0) as weight,
        coalesce(sum(clicked), 0) as n_clicks
    from {{ ref('int_click_weights') }}
),

impressions as (
    select coalesce(sum(impressions.clicked), 0) as n_clicks
    from {{ ref('fct_impressions') }} as impressions
    inner join {{ ref('int_windows') }} as windows
        on
            impressions.searched_at >= windows.window_start
            and impressions.searched_at < windows.window_end
),

pairs as (
    select
        coalesce(sum(weight), 0) as weight,
        coalesce(sum(n_clicks), 0) as n_clicks
    from {{ ref('fct_training_pairs') }}
),

training_groups as (
    select
        coalesce(avg(weight), 1) as mean_weight
    from {{ ref('fct_training_groups') }}
)

select
    clicks.*,
    impressions.n_clicks as n_impression_clicks,
    pairs.weight as pair_weight,
    pairs.n_clicks as n_pair_clicks,
    training_groups.mean_weight
from clicks
cross join impressions
cross join pairs
cross join training_groups
where
    clicks.n_clicks <> impressions.n_clicks
    or clicks.n_clicks <> pairs.n_clicks
    or abs(clicks.weight - pairs.weight) > 1e-6 * (1 + clicks.n_clicks)
    or abs(training_groups.mean_weight - 1) > 1e-9
