{#
    Impressions and clicks by day, context, group of users, model, query, document and rank. A swap
    moves only two documents: the one that stood first is the same document at both places, the
    others are where the ranker put them. Where the log says how likely a document was to stand
    where it stood, chance chose, and one over that makes every document count alike at every rank.
#}
{% macro impression_cells(impressions) %}
    select
        cast(searched_at as date) as search_date,
        propensity_context as context,
        jackknife_group,
        coalesce(model_version, '?') as model_version,
        query,
        doc_id,
        cast(rank as integer) as rank,
        is_rank_by_chance as is_randomised,
        cast(count(*) as bigint) as n_impressions,
        cast(sum(clicked) as bigint) as n_clicks,
        case when count(logged_chance) > 0 then {{ exact_sum('chance_weight') }} end
            as weighted_impressions,
        case when count(logged_chance) > 0 then {{ exact_sum('clicked * chance_weight') }} end
            as weighted_clicks
    from (
        select
            shown.*,
            users.jackknife_group,
            coalesce(1 / shown.logged_chance, 1) as chance_weight,
            shown.logged_chance is not null
            or coalesce(
                shown.is_randomised
                and (shown.rank_before_swap = 1 or swapped.search_id is null),
                false
            ) as is_rank_by_chance
        from (
            select
                *,
                case
                    when logging_propensity > 0 and logging_propensity < 1 then logging_propensity
                end as logged_chance
            from {{ impressions }}
        ) as shown
        inner join (
            select
                user_id,
                {{ jackknife_group('user_id', var('jackknife_groups')) }} as jackknife_group
            from (select distinct user_id from {{ impressions }}) as everybody
        ) as users
            on shown.user_id = users.user_id
        left join (
            select distinct search_id from {{ impressions }}
            where rank_before_swap is not null
        ) as swapped
            on shown.search_id = swapped.search_id
    ) as marked
    group by
        cast(searched_at as date),
        propensity_context,
        jackknife_group,
        coalesce(model_version, '?'),
        query,
        doc_id,
        rank,
        is_rank_by_chance
{% endmacro %}
