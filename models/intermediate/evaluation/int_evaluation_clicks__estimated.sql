{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='evaluation_id',
    on_schema_change='append_new_columns'
) }}

{% set sides = ('challenger', 'champion') %}

-- noqa: disable=LT02
with

pairs as (

    select * from {{ ref('int_evaluation_pairs__expected') }}
    {% if is_incremental() %}
    where evaluation_id not in (select kept.evaluation_id from {{ this }} as kept)
    {% endif %}

),

impressions as (

    select judged.*
    from {{ ref('int_evaluation_impressions__judged') }} as judged
    {% if is_incremental() %}
    where judged.evaluation_id not in (select kept.evaluation_id from {{ this }} as kept)
    {% endif %}

),

propensities as (

    select * from {{ ref('int_evaluation_propensities') }}
    where curve = 'active'

),

active_pairs as (

    select * from pairs
    where curve = 'active'

),

{#
    Doubly robust, a search's share: what the expectation says of the two pages, ...
    (The champion's page is the logged one where the champion is the log.)
#}
pages as (

    select
        evaluation_id,
        search_id,
        user_id,
        query,
        context,
        max(rank) as depth
    from impressions
    where is_compared
    group by evaluation_id, search_id, user_id, query, context

),

visits as (

    select distinct
        evaluation_id,
        query,
        context,
        depth
    from pages

),

evaluations as (

    select * from {{ source('flywheel_state', 'evaluations') }}

),

visit_values as (

    select
        visits.evaluation_id,
        visits.query,
        visits.context,
        visits.depth,
        {% for side in sides %}
        {{ exact_sum(
            'case when pairs.' ~ side ~ '_rank <= visits.depth and evaluations.'
            ~ ('model' if side == 'challenger' else 'champion') ~ "_version <> 'logged' then "
            ~ side ~ '_propensities.propensity * pairs.expected_attraction else 0 end'
        ) }} as {{ side }}_clicks{{ ',' if not loop.last }}
        {% endfor %}
    from visits
    inner join evaluations on visits.evaluation_id = evaluations.evaluation_id
    inner join active_pairs as pairs
        on
            visits.evaluation_id = pairs.evaluation_id
            and visits.query = pairs.query
    {% for side in sides %}
    left join propensities as {{ side }}_propensities
        on
            visits.context = {{ side }}_propensities.context
            and pairs.{{ side }}_rank = {{ side }}_propensities.rank
    {% endfor %}
    group by visits.evaluation_id, visits.query, visits.context, visits.depth

),

{# ... and by how much what was shown differed from it, weighed for what each page would show. #}
residuals as (

    select
        impressions.evaluation_id,
        impressions.user_id,
        impressions.clicked - propensities.propensity * pairs.expected_attraction as residual,
        case
            when impressions.is_compared
                then propensities.propensity * pairs.expected_attraction
            else 0
        end as logged_clicks,
        {% for side in sides %}
        pairs.{{ side }}_exposure / pairs.shown_exposure as {{ side }}_weight,
        {% endfor %}
        case when evaluations.model_version = 'logged' then 1 else 0 end as is_challenger_logged,
        case when evaluations.champion_version = 'logged' then 1 else 0 end as is_champion_logged
    from impressions
    inner join evaluations on impressions.evaluation_id = evaluations.evaluation_id
    inner join propensities
        on
            impressions.context = propensities.context
            and impressions.rank = propensities.rank
    inner join active_pairs as pairs
        on
            impressions.evaluation_id = pairs.evaluation_id
            and impressions.query = pairs.query
            and impressions.doc_id = pairs.doc_id

),

user_parts as (

    select
        pages.evaluation_id,
        pages.user_id,
        1 as n_searches,
        0 as n_clicks,
        visit_values.challenger_clicks,
        visit_values.champion_clicks
    from pages
    inner join visit_values
        on
            pages.evaluation_id = visit_values.evaluation_id
            and pages.query = visit_values.query
            and pages.context = visit_values.context
            and pages.depth = visit_values.depth

    union all

    select
        evaluation_id,
        user_id,
        0 as n_searches,
        0 as n_clicks,
        {% for side in sides %}
        residual * {{ side }}_weight + is_{{ side }}_logged * logged_clicks
            as {{ side }}_clicks{{ ',' if not loop.last }}
        {% endfor %}
    from residuals

),

user_sums as (

    select
        evaluation_id,
        user_id,
        sum(n_searches) as n_searches,
        {{ exact_sum('challenger_clicks') }} as challenger_clicks,
        {{ exact_sum('champion_clicks') }} as champion_clicks
    from user_parts
    group by evaluation_id, user_id

),

{# Sums of squares over users, of which the variance of any difference is made; nobody's own. #}
evaluation_sums as (

    select
        evaluation_id,
        cast(sum(n_searches) as bigint) as n_searches,
        cast(count(case when n_searches > 0 then 1 end) as bigint) as n_users,
        {{ exact_sum('challenger_clicks * challenger_clicks') }} as challenger_squared,
        {{ exact_sum('challenger_clicks * champion_clicks') }} as product,
        {{ exact_sum('champion_clicks * champion_clicks') }} as champion_squared
    from user_sums
    group by evaluation_id

),

{# Of how many searches the page changes at all: one document more or less, or another place. #}
changed_queries as (

    select
        evaluation_id,
        query,
        max(
            case when abs(challenger_exposure - champion_exposure) > 1e-9 then 1 else 0 end
        ) as is_changed
    from active_pairs
    group by evaluation_id, query

),

changes as (

    select
        pages.evaluation_id,
        {{ ratio('sum(changed_queries.is_changed)', 'count(*)') }} as changed_share
    from pages
    inner join changed_queries
        on
            pages.evaluation_id = changed_queries.evaluation_id
            and pages.query = changed_queries.query
    group by pages.evaluation_id

),

curve_sums as (

    select
        evaluation_id,
        curve,
        cast(sum(n_clicks) as bigint) as n_clicks,
        {% for side in sides %}
        {{ exact_sum(side ~ '_exposure * attraction') }} as {{ side }}_clicks,
        {% endfor %}
        {{ exact_sum(
            'case when not is_seen then (challenger_exposure - champion_exposure)'
            ~ ' * case when challenger_exposure > champion_exposure then attraction_low'
            ~ ' else attraction_high end - (challenger_exposure - champion_exposure) * attraction'
            ~ ' else 0 end'
        ) }} as unseen_low,
        {{ exact_sum(
            'case when not is_seen then (challenger_exposure - champion_exposure)'
            ~ ' * case when challenger_exposure > champion_exposure then attraction_high'
            ~ ' else attraction_low end - (challenger_exposure - champion_exposure) * attraction'
            ~ ' else 0 end'
        ) }} as unseen_high,
        {{ ratio(
            exact_sum('case when is_seen then challenger_exposure else 0 end'),
            exact_sum('challenger_exposure')
        ) }} as support,
        {{ ratio(
            exact_sum('least(challenger_exposure, shown_exposure)'),
            exact_sum('challenger_exposure')
        ) }} as logged_overlap
    from pairs
    group by evaluation_id, curve

),

relative as (

    select
        *,
        {{ ratio('challenger_clicks - champion_clicks', 'champion_clicks') }} as relative_delta
    from curve_sums

),

propensity_errors as (

    select
        evaluation_id,
        abs(
            max(case when curve = 'steeper' then relative_delta end)
            - max(case when curve = 'flatter' then relative_delta end)
        ) / 2 as propensity_std_error
    from relative
    group by evaluation_id

),

estimated as (

    select
        relative.evaluation_id,
        evaluation_sums.n_searches,
        evaluation_sums.n_users,
        relative.n_clicks,
        relative.challenger_clicks,
        relative.champion_clicks,
        relative.relative_delta,
        {{ ratio('relative.unseen_low', 'relative.champion_clicks') }} as unseen_low,
        {{ ratio('relative.unseen_high', 'relative.champion_clicks') }} as unseen_high,
        {{ ratio(
            'sqrt(greatest(evaluation_sums.challenger_squared'
            ~ ' - 2 * (1 + relative.relative_delta) * evaluation_sums.product'
            ~ ' + power(1 + relative.relative_delta, 2) * evaluation_sums.champion_squared, 0))',
            'relative.champion_clicks'
        ) }} as user_std_error,
        propensity_errors.propensity_std_error,
        relative.support,
        relative.logged_overlap,
        changes.changed_share
    from relative
    inner join evaluation_sums on relative.evaluation_id = evaluation_sums.evaluation_id
    inner join changes on relative.evaluation_id = changes.evaluation_id
    inner join propensity_errors on relative.evaluation_id = propensity_errors.evaluation_id
    where relative.curve = 'active'

),

quantiles as (

    select {{ standard_normal_quantile(0.5 + var('confidence_level') / 2) }} as normal_quantile

),

{# What users and propensities alone leave open to either side. #}
final as (

    select
        estimated.*,
        quantiles.normal_quantile * sqrt(
            power(estimated.user_std_error, 2) + power(estimated.propensity_std_error, 2)
        ) as noise
    from estimated
    cross join quantiles

)

select * from final
