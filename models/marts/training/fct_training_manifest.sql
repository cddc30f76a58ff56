{% set recorded_vars = [
    'as_of', 'attribution_minutes', 'behavior_prior_impressions', 'confidence_level',
    'evaluation_window_days', 'hidden_history_share', 'ips_clip', 'ipf_steps',
    'jackknife_groups', 'min_ipf_clicks', 'min_randomised_clicks', 'min_training_clicks',
    'min_evaluation_clicks',
    'negatives_per_positive', 'propensity_alpha', 'propensity_contexts', 'propensity_estimator',
    'session_timeout_minutes', 'sat_dwell_seconds', 'tight_ips_clip', 'training_window_days',
] %}

with

windows as (

    select * from {{ ref('int_windows') }}

),

{# What an engine reads twice it keeps whole, so each reads of a large table what it counts. #}
clicks as (

    select * from {{ ref('fct_impressions') }}
    where clicked = 1

),

impressions as (

    select * from {{ ref('fct_impressions') }}

),

click_weights as (

    select * from {{ ref('int_click_weights') }}

),

training_searches as (

    select distinct search_id
    from {{ ref('int_click_weights') }}

),

evaluation_rows as (

    select
        impressions.search_id,
        impressions.clicked
    from impressions
    inner join windows
        on
            impressions.searched_at >= windows.evaluation_start
            and impressions.searched_at < windows.evaluation_end

),

pairs as (

    select * from {{ ref('fct_training_pairs') }}

),

training_groups as (

    select * from {{ ref('fct_training_groups') }}

),

training_rows as (

    select * from {{ ref('int_training_rows') }}

),

window_counts as (

    select
        count(distinct search_id) as n_searches,
        count(*) as n_impressions,
        coalesce(sum(clicked), 0) as n_clicks,
        max(searched_at) as last_training_search_at,
        max(clicked_at) as last_training_click_at
    from click_weights

),

evaluation_counts as (

    select
        count(distinct search_id) as n_evaluation_searches,
        coalesce(sum(clicked), 0) as n_evaluation_clicks
    from evaluation_rows

),

outside_counts as (

    select
        count(case when clicks.searched_at < windows.window_start then 1 end)
            as n_clicks_before_training,
        count(case when clicks.searched_at >= windows.window_end then 1 end)
            as n_clicks_embargoed,
        count(*) as n_clicks_before_evaluation
    from clicks
    inner join windows
        on clicks.searched_at < windows.evaluation_start

),

pair_counts as (

    select
        count(*) as n_pairs,
        count(case when array_contains(negative_docs, positive_doc) then 1 end)
            as n_pairs_with_positive_as_negative
    from pairs

),

group_counts as (

    select
        count(distinct group_id) as n_groups,
        count(distinct case when split = 'fit' then group_id end) as n_fit_groups,
        count(distinct case when split = 'validation' then group_id end) as n_validation_groups,
        count(*) as n_rows,
        {{ order_free_fingerprint(
            "group_id || '|' || doc_id || '|' || cast(is_positive as string) || '|' || split"
            ~ " || '|' || cast(cast(round(weight * 1000000) as bigint) as string)"
            ~ " || '|' || cast(row_order as string)"
        ) }} as fingerprint
    from training_groups

),

shared_searches as (

    select count(*) as n_shared_searches
    from (
        select distinct training_searches.search_id
        from training_searches
        inner join evaluation_rows
            on training_searches.search_id = evaluation_rows.search_id
    ) as shared

),

feature_leaks as (

    select
        count(case when behavior_known_on >= feature_date then 1 end)
            as n_rows_with_later_features
    from training_rows

),

first_shown as (

    select
        query,
        doc_id,
        cast(min(searched_at) as date) as shown_on
    from {{ ref('fct_impressions') }}
    group by query, doc_id

),

{# That a document is unknown on the group's day and shown later is news of the future. #}
unseen_rows as (

    select count(*) as n_rows_not_yet_shown
    from {{ ref('fct_training_groups') }} as members
    inner join first_shown
        on
            members.query = first_shown.query
            and members.doc_id = first_shown.doc_id
            and members.feature_date < first_shown.shown_on

),

checked as (

    select
        windows.*,
        window_counts.*,
        evaluation_counts.*,
        outside_counts.*,
        pair_counts.*,
        group_counts.*,
        shared_searches.n_shared_searches,
        feature_leaks.n_rows_with_later_features,
        unseen_rows.n_rows_not_yet_shown,
        coalesce(
            shared_searches.n_shared_searches = 0
            and pair_counts.n_pairs_with_positive_as_negative = 0
            and feature_leaks.n_rows_with_later_features = 0
            and unseen_rows.n_rows_not_yet_shown = 0
            and coalesce(windows.window_end <= windows.embargo_end, true)
            and coalesce(windows.embargo_end <= windows.evaluation_start, true)
            and coalesce(window_counts.last_training_search_at < windows.window_end, true)
            and coalesce(window_counts.last_training_click_at <= windows.embargo_end, true),
            false
        ) as is_leak_free
    from windows
    cross join window_counts
    cross join evaluation_counts
    cross join outside_counts
    cross join pair_counts
    cross join group_counts
    cross join shared_searches
    cross join feature_leaks
    cross join unseen_rows

),

judged as (

    select
        *,
        case
            when log_end is null then 'The log holds no search by a human.'
            when not is_leak_free
                then
                    'Training and evaluation data are mixed; see the leak checks in'
                    || ' fct_training_manifest.'
            when n_clicks < {{ var('min_training_clicks') }}
                then
                    'The training window holds ' || cast(n_clicks as string)
                    || ' clicks and {{ var("min_training_clicks") }} are needed'
                    || ' (var min_training_clicks); outside it are '
                    || cast(n_clicks_before_training as string)
                    || ' before (var training_window_days), '
                    || cast(n_clicks_embargoed as string) || ' in the embargo and '
                    || cast(n_evaluation_clicks as string) || ' in the evaluation window'
                    || ' (var evaluation_window_days); collect a longer log.'
            when n_evaluation_clicks < {{ var('min_evaluation_clicks') }}
                then
                    'The evaluation window holds ' || cast(n_evaluation_clicks as string)
                    || ' clicks and {{ var("min_evaluation_clicks") }} are needed'
                    || ' (var min_evaluation_clicks); before it are '
                    || cast(n_clicks_before_evaluation as string)
                    || ' (var evaluation_window_days); collect a longer log.'
            when n_fit_groups = 0 or n_validation_groups = 0
                then
                    'No search of the training window has both a clicked document and another one'
                    || ' in the part to fit and in the part to validate; collect a longer log.'
        end as not_trainable_reason
    from checked

),

final as (

    select
        md5(
            fingerprint || '|' || coalesce(cast(window_start as string), '')
            || '|' || coalesce(cast(window_end as string), '')
            || '|' || {{ vars_as_json(recorded_vars) }}
        ) as manifest_id,
        cast(window_start as timestamp) as window_start,
        cast(window_end as timestamp) as window_end,
        cast(embargo_end as timestamp) as embargo_end,
        cast(evaluation_start as timestamp) as evaluation_start,
        cast(evaluation_end as timestamp) as evaluation_end,
        cast(n_searches as bigint) as n_searches,
        cast(n_impressions as bigint) as n_impressions,
        cast(n_clicks as bigint) as n_clicks,
        cast(n_evaluation_searches as bigint) as n_evaluation_searches,
        cast(n_evaluation_clicks as bigint) as n_evaluation_clicks,
        cast(n_pairs as bigint) as n_pairs,
        cast(n_groups as bigint) as n_groups,
        cast(n_fit_groups as bigint) as n_fit_groups,
        cast(n_validation_groups as bigint) as n_validation_groups,
        cast(n_rows as bigint) as n_rows,
        cast(fingerprint as string) as fingerprint,
        cast({{ vars_as_json(recorded_vars) }} as string) as vars,
        cast(n_shared_searches as bigint) as n_shared_searches,
        cast(n_pairs_with_positive_as_negative as bigint) as n_pairs_with_positive_as_negative,
        cast(n_rows_with_later_features as bigint) as n_rows_with_later_features,
        cast(n_rows_not_yet_shown as bigint) as n_rows_not_yet_shown,
        cast(last_training_search_at as timestamp) as last_training_search_at,
        cast(last_training_click_at as timestamp) as last_training_click_at,
        cast(is_leak_free as boolean) as is_leak_free,
        cast(not_trainable_reason is null as boolean) as is_trainable,
        cast(not_trainable_reason as string) as not_trainable_reason
    from judged

)

select * from final
