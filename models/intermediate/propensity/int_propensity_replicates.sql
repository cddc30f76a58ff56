{#
    Every estimator (the macro `estimators` lists them) reads of the CTEs below what it needs: every
    rank; every cell; the cells of documents that tie ranks together; those documents without each
    group.
#}
{% set listed = estimators('ranks', 'cells', 'ties', 'versions') %}

with

position_cells as (

    select * from {{ ref('int_position_cells') }}

),

ranks_of_contexts as (

    select * from {{ ref('int_propensity_ranks') }}

),

regimes as (

    select * from {{ ref('int_propensity_regimes') }}

),

cells as (

    {{ comparable_cells('position_cells', 'regimes') | indent(4) }}

),

ties as (

    {{ tied_documents('cells') | indent(4) }}

),

versions as (

    {{ document_versions('ties') | indent(4) }}

),

{# Where there are several contexts, all of them together ('*') have a curve too. #}
ranks as (

    select
        context,
        rank,
        n_impressions,
        n_clicks
    from ranks_of_contexts
    union all
    select
        '*' as context,
        ranks_of_contexts.rank,
        cast(sum(ranks_of_contexts.n_impressions) as bigint) as n_impressions,
        cast(sum(ranks_of_contexts.n_clicks) as bigint) as n_clicks
    from ranks_of_contexts
    inner join regimes
        on ranks_of_contexts.context = regimes.context
    where regimes.n_contexts > 1
    group by ranks_of_contexts.rank

),

{% for estimator in listed %}
{{ estimator.name }}_estimates as (

    {{ estimator.query | indent(4) }}

),

{% endfor %}
{# Every estimator has every rank, also the ranks it cannot see. #}
all_estimates as (

    {% for estimator in listed %}
    select
        '{{ estimator.name }}' as estimator,
        ranks.context,
        coalesce(estimates.replicate, 0) as replicate,
        ranks.rank,
        estimates.propensity,
        coalesce(estimates.n_impressions, 0) as n_impressions,
        coalesce(estimates.n_clicks, 0) as n_clicks,
        estimates.last_step_change,
        cast({{ estimator.get('min_clicks', 'null') }} as bigint) as min_clicks,
        {{ estimator.get('needs_ties', false) | lower }} as needs_ties
    from ranks
    left join {{ estimator.name }}_estimates as estimates
        on
            ranks.context = estimates.context
            and ranks.rank = estimates.rank
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

final as (

    select
        estimator,
        context,
        cast(replicate as integer) as replicate,
        cast(rank as integer) as rank,
        cast(propensity as double) as propensity,
        cast(n_impressions as bigint) as n_impressions,
        cast(n_clicks as bigint) as n_clicks,
        cast(last_step_change as double) as last_step_change,
        min_clicks,
        needs_ties
    from all_estimates

)

select * from final
