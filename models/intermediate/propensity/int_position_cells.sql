{#
    Train days only: a propensity that had seen the evaluation window would leak it.

    Rankers learn from clicks, so a document is moved up where it was lucky, and its clicks fall
    back afterwards: comparing its places before and after a change of model would blame the top
    rank for that. Within the days served by one set of models the order is fixed beforehand, and
    places compare fairly.

    A swap moves only two documents: the one that stood first is the same document at both places,
    the others are where the ranker put them. Where the log says how likely a document was to stand
    where it stood, chance chose, and one over that makes every document count alike at every rank.
#}
with

windows as (

    select * from {{ ref('int_windows') }}

),

users as (

    select distinct user_id
    from {{ ref('fct_impressions') }}

),

swapped_searches as (

    select distinct search_id
    from {{ ref('fct_impressions') }}
    where rank_before_swap is not null

),

days_served as (

    select distinct
        cast(impressions.searched_at as date) as search_date,
        coalesce(impressions.model_version, '?') as model_version
    from {{ ref('fct_impressions') }} as impressions
    inner join windows
        on
            impressions.searched_at >= windows.window_start
            and impressions.searched_at < windows.window_end

),

regimes as (

    select
        search_date,
        string_agg(model_version, ',' order by model_version) as serving_regime
    from days_served
    group by search_date

),

grouped_users as (

    select
        user_id,
        {{ jackknife_group('user_id', var('jackknife_groups')) }} as jackknife_group
    from users

),

{#
    A sure place was not drawn. Whether a search was swapped is asked of randomised ones only: few
    of all are, and a join of all would hold them all.
#}
{% set was_drawn = 'coalesce(impressions.is_randomised, false)' %}
{% for name, condition in {
    'shown_as_ranked': 'not ' ~ was_drawn,
    'shown_as_drawn': was_drawn,
}.items() -%}
{{ name }} as (

    select
        impressions.search_id,
        impressions.user_id,
        impressions.query,
        impressions.doc_id,
        impressions.rank,
        impressions.rank_before_swap,
        impressions.clicked,
        impressions.propensity_context as context,
        cast(impressions.searched_at as date) as search_date,
        case
            when impressions.logging_propensity > 0 and impressions.logging_propensity < 1
                then impressions.logging_propensity
        end as logged_chance
    from {{ ref('fct_impressions') }} as impressions
    inner join windows
        on
            impressions.searched_at >= windows.window_start
            and impressions.searched_at < windows.window_end
    where {{ condition }}

),

{% endfor -%}
shown as (

    select
        *,
        false as is_rank_by_chance
    from shown_as_ranked

    union all

    select
        shown_as_drawn.*,
        coalesce(
            shown_as_drawn.rank_before_swap = 1 or swapped_searches.search_id is null, false
        ) as is_rank_by_chance
    from shown_as_drawn
    left join swapped_searches on shown_as_drawn.search_id = swapped_searches.search_id

),

marked as (

    select
        shown.context,
        grouped_users.jackknife_group,
        regimes.serving_regime,
        shown.query,
        shown.doc_id,
        shown.rank,
        shown.clicked,
        shown.logged_chance,
        coalesce(1 / shown.logged_chance, 1) as chance_weight,
        shown.logged_chance is not null or shown.is_rank_by_chance as is_rank_by_chance
    from shown
    inner join regimes on shown.search_date = regimes.search_date
    inner join grouped_users on shown.user_id = grouped_users.user_id

),

final as (

    select
        context,
        jackknife_group,
        serving_regime,
        query,
        doc_id,
        rank,
        is_rank_by_chance as is_randomised,
        cast(count(*) as bigint) as n_impressions,
        cast(sum(clicked) as bigint) as n_clicks,
        case when count(logged_chance) > 0 then {{ exact_sum('chance_weight') }} end
            as weighted_impressions,
        case when count(logged_chance) > 0 then {{ exact_sum('clicked * chance_weight') }} end
            as weighted_clicks
    from marked
    group by
        context,
        jackknife_group,
        serving_regime,
        query,
        doc_id,
        rank,
        is_rank_by_chance

)

select * from final
