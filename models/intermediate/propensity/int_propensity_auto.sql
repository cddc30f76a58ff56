{#
    What is known, rank by rank. A rank that a measuring estimator identifies (randomised traffic,
    the fixed point) has its estimate; where several do, each counts by the inverse of its variance.
    They share clicks, so the error of all together is jackknifed, not added up.

    A rank that none identifies follows a shape: of the one context, or of all contexts
    together ('*'), the power law with the alpha of int_propensity_alphas; of one context among
    several, the curve of all together, tilted by how far its own alpha lies from theirs. The
    shape is lifted to meet the measured ranks: between two of them its distance (in logarithms)
    is a straight line in log rank, behind the last it stays.
#}
{% set measuring = measuring_estimators() %}
{% set quoted = "'" ~ measuring | join("', '") ~ "'" %}

with

curves as (

    select * from {{ ref('int_propensity_curves') }}

),

replicates as (

    select * from {{ ref('int_propensity_replicates') }}

),

alphas as (

    select * from {{ ref('int_propensity_alphas') }}

),

{# Every estimator has every rank. #}
ranks as (

    select
        context,
        rank,
        ln(cast(rank as double)) as log_rank,
        n_impressions,
        n_clicks
    from curves
    where estimator = 'none'

),

{# Rank 1 has no error: it is the unit of every curve. #}
weights as (

    select
        estimator,
        context,
        rank,
        n_impressions,
        n_clicks,
        1 / power(greatest(std_error_log, 0.000001), 2) as precision_weight
    from curves
    where is_identified and estimator in ({{ quoted }})

),

shares as (

    select
        *,
        precision_weight / sum(precision_weight) over (partition by context, rank) as share
    from weights

),

sources as (

    select
        context,
        rank,
        string_agg(
            estimator, '+' order by case estimator
                {% for name in measuring %}
                when '{{ name }}' then {{ loop.index }}
                {% endfor %}
            end
        ) as source,
        max(n_impressions) as n_impressions,
        max(n_clicks) as n_clicks
    from shares
    group by context, rank

),

replicate_numbers as (

    select distinct
        context,
        replicate
    from replicates
    where estimator in ({{ quoted }})

),

{# Without a group of users that it never saw, an estimator says what it says of all. #}
combined as (

    select
        shares.context,
        shares.rank,
        replicate_numbers.replicate,
        {{ in_order(
            'sum', 'shares.share * ln(coalesce(without_group.propensity, of_all.propensity))'
        ) }} as log_propensity
    from shares
    inner join replicate_numbers
        on shares.context = replicate_numbers.context
    inner join replicates as of_all
        on
            shares.estimator = of_all.estimator
            and shares.context = of_all.context
            and shares.rank = of_all.rank
            and of_all.replicate = 0
    left join replicates as without_group
        on
            shares.estimator = without_group.estimator
            and shares.context = without_group.context
            and shares.rank = without_group.rank
            and replicate_numbers.replicate = without_group.replicate
    group by shares.context, shares.rank, replicate_numbers.replicate

),

errors as (

    select
        context,
        rank,
        sqrt({{ jackknife_variance('log_propensity') }}) as std_error_log,
        count(*) as n_replicates
    from combined
    where replicate > 0
    group by context, rank

),

measured as (

    select
        combined.context,
        combined.rank,
        combined.log_propensity,
        errors.std_error_log,
        errors.n_replicates,
        sources.source,
        sources.n_impressions,
        sources.n_clicks
    from combined
    inner join errors
        on
            combined.context = errors.context
            and combined.rank = errors.rank
    inner join sources
        on
            combined.context = sources.context
            and combined.rank = sources.rank
    where combined.replicate = 0

),

whole_shapes as (

    select
        ranks.context,
        ranks.rank,
        ranks.log_rank,
        -alphas.alpha * ranks.log_rank as log_shape,
        case
            when alphas.fitted_alpha is not null then 'fitted_power_law' else 'power_law'
        end as source
    from ranks
    inner join alphas
        on ranks.context = alphas.context
    where not alphas.is_part

),

{% for level in ('whole', 'part') %}
{{ level }}_offsets as (

    select
        shapes.*,
        measured.log_propensity,
        case
            when measured.log_propensity is not null
                then measured.log_propensity - shapes.log_shape
            when shapes.rank = 1 then 0
        end as log_offset
    from {{ level }}_shapes as shapes
    left join measured
        on
            shapes.context = measured.context
            and shapes.rank = measured.rank

),

{{ level }}_neighbours as (

    select
        *,
        max(case when log_offset is not null then rank end) over (
            partition by context
            order by rank
            rows between unbounded preceding and current row
        ) as rank_above,
        min(case when log_offset is not null then rank end) over (
            partition by context
            order by rank
            rows between current row and unbounded following
        ) as rank_below
    from {{ level }}_offsets

),

{{ level }}_curves as (

    select
        here.context,
        here.rank,
        here.source,
        coalesce(
            here.log_propensity,
            here.log_shape + coalesce(
                above.log_offset
                + (below.log_offset - above.log_offset)
                * (here.log_rank - above.log_rank)
                / nullif(below.log_rank - above.log_rank, 0),
                above.log_offset,
                0
            )
        ) as log_propensity
    from {{ level }}_neighbours as here
    left join {{ level }}_offsets as above
        on
            here.context = above.context
            and here.rank_above = above.rank
    left join {{ level }}_offsets as below
        on
            here.context = below.context
            and here.rank_below = below.rank

),

{% if level == 'whole' %}
part_shapes as (

    select
        ranks.context,
        ranks.rank,
        ranks.log_rank,
        whole_curves.log_propensity
        - (alphas.alpha - alphas.whole_alpha) * ranks.log_rank as log_shape,
        case
            when alphas.fitted_alpha is not null then 'fitted_power_law' else 'all_contexts'
        end as source
    from ranks
    inner join alphas
        on ranks.context = alphas.context
    inner join whole_curves
        on
            whole_curves.context = '*'
            and ranks.rank = whole_curves.rank
    where alphas.is_part

),

{% endif %}
{% endfor %}
all_curves as (

    select * from whole_curves
    union all
    select * from part_curves

),

final as (

    select
        'auto' as estimator,
        all_curves.context,
        all_curves.rank,
        exp(all_curves.log_propensity) as propensity,
        measured.std_error_log,
        coalesce(measured.n_replicates, 0) as n_replicates,
        coalesce(measured.n_impressions, ranks.n_impressions) as n_impressions,
        coalesce(measured.n_clicks, ranks.n_clicks) as n_clicks,
        cast(null as double) as last_step_change,
        cast(null as bigint) as min_clicks,
        measured.rank is not null as is_identified,
        coalesce(measured.source, all_curves.source) as source
    from all_curves
    inner join ranks
        on
            all_curves.context = ranks.context
            and all_curves.rank = ranks.rank
    left join measured
        on
            all_curves.context = measured.context
            and all_curves.rank = measured.rank

)

select * from final
