{#
    Replicate 0 holds everything, replicate g everything but group g. Totals minus the group's own
    counts touch each count twice, where summing the other groups would touch it once a group.
#}
{% macro leave_one_group_out(cells, keys, weights=[]) %}
    with totals as (
        select
            {{ keys | join(', ') }},
            cast(sum(n_impressions) as bigint) as n_impressions,
            {% for weight in weights %}
            {{ exact_sum(weight) }} as {{ weight }},
            {% endfor %}
            cast(sum(n_clicks) as bigint) as n_clicks
        from {{ cells }}
        group by {{ keys | join(', ') }}
    ),

    by_group as (
        select
            {{ keys | join(', ') }},
            jackknife_group,
            cast(sum(n_impressions) as bigint) as n_impressions,
            {% for weight in weights %}
            {{ exact_sum(weight) }} as {{ weight }},
            {% endfor %}
            cast(sum(n_clicks) as bigint) as n_clicks
        from {{ cells }}
        group by {{ keys | join(', ') }}, jackknife_group
    ),

    -- a group without users would repeat the estimate and make its error look smaller
    replicates as (
        select distinct
            context,
            jackknife_group as replicate
        from {{ cells }}
        union all
        select distinct
            context,
            0 as replicate
        from {{ cells }}
    )

    select
        {% for key in keys %}
        totals.{{ key }},
        {% endfor %}
        replicates.replicate,
        totals.n_impressions - coalesce(by_group.n_impressions, 0) as n_impressions,
        {% for weight in weights %}
        totals.{{ weight }} - coalesce(by_group.{{ weight }}, 0) as {{ weight }},
        {% endfor %}
        totals.n_clicks - coalesce(by_group.n_clicks, 0) as n_clicks
    from totals
    inner join replicates
        on totals.context = replicates.context
    left join by_group
        on
            replicates.replicate = by_group.jackknife_group
            {% for key in keys %}
            and totals.{{ key }} = by_group.{{ key }}
            {% endfor %}
{% endmacro %}
