{#
    Impressions and clicks by day, context, group of users, model, query, document and rank. A swap
    moves only two documents: the one that stood first is the same document at both places, the
    others are where the ranker put them.
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
        cast(sum(clicked) as bigint) as n_clicks
    from (
        select
            *,
            {{ jackknife_group('user_id', var('jackknife_groups')) }} as jackknife_group,
            coalesce(
                is_randomised
                and (
                    rank_before_swap = 1
                    or max(case when rank_before_swap is not null then 1 else 0 end)
                        over (partition by search_id) = 0
                ),
                false
            ) as is_rank_by_chance
        from {{ impressions }}
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
