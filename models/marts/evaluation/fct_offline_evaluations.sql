{#
    Incremental so that an evaluation is final: the gate's past answers do not move when the log
    grows. One that found no search yet is tried again at the next build.
#}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='evaluation_id',
    on_schema_change='append_new_columns',
    pre_hook="{{ check_gate_metric(ref('metrics')) }}"
) }}

{% set sums = offline_sums() | map(attribute='name') | list %}
{% set tail = (1 - var('confidence_level')) / 2 %}

-- noqa: disable=LT02
with

evaluations as (

    select requested.* from {{ source('flywheel_state', 'evaluations') }} as requested
    {% if is_incremental() %}
    where
        requested.evaluation_id not in (
            select answered.evaluation_id from {{ this }} as answered
            where answered.n > 0
        )
    {% endif %}

),

metrics as (

    select * from {{ ref('metrics') }}
    where stage = 'offline'

),

{# Side by side for the draws, which then are as many as users, not as users and sums. #}
user_sums as (

    select
        {% for name in sums %}
        max(case when summed.sum_name = '{{ name }}' then summed.value end) as {{ name }},
        {% endfor %}
        summed.evaluation_id,
        summed.side,
        summed.user_id
    from {{ ref('int_evaluation_users__summed') }} as summed
    inner join evaluations
        on summed.evaluation_id = evaluations.evaluation_id
    group by summed.evaluation_id, summed.side, summed.user_id

),

paired_sums as (

    select
        challenger.evaluation_id,
        challenger.user_id,
        {% for column in sums %}
        challenger.{{ column }} as challenger_{{ column }},
        champion.{{ column }} as champion_{{ column }}{{ ',' if not loop.last }}
        {% endfor %}
    from user_sums as challenger
    inner join user_sums as champion
        on
            challenger.evaluation_id = champion.evaluation_id
            and challenger.user_id = champion.user_id
            and champion.side = 'champion'
    where challenger.side = 'challenger'

),

replicates as (

    select cast(numbers.id as integer) as replicate
    from range(0, {{ var('bootstrap_replicates') + 1 }}) as numbers (id)

),

draws as (

    select
        paired_sums.*,
        replicates.replicate,
        {{ hash_fraction("paired_sums.user_id || '-' || cast(replicates.replicate as string)") }}
            as draw
    from paired_sums
    cross join replicates

),

{#
    Users are resampled, not searches: one user's searches resemble each other. Both sides get the
    same weights, so the interval of the difference is a paired one. Replicate 0 is the estimate.
#}
weighted as (

    select
        *,
        case when replicate = 0 then 1 else {{ poisson_weight('draw') }} end as weight
    from draws

),

replicate_sums as (

    select
        evaluation_id,
        replicate,
        {% for column in sums %}
        {{ exact_sum('weight * challenger_' ~ column) }}
            as challenger_{{ column }},
        {{ exact_sum('weight * champion_' ~ column) }}
            as champion_{{ column }}{{ ',' if not loop.last }}
        {% endfor %}
    from weighted
    group by evaluation_id, replicate

),

sums_by_name as (

    {% for side in ('challenger', 'champion') %}
    {% set is_last_side = loop.last %}
    {% for name in sums %}
    select
        evaluation_id,
        '{{ side }}' as side,
        replicate,
        '{{ name }}' as sum_name,
        {{ side }}_{{ name }} as value
    from replicate_sums
    {{ 'union all' if not (is_last_side and loop.last) }}
    {% endfor %}
    {% endfor %}

),

replicate_metrics as (

    select
        numerators.evaluation_id,
        numerators.side,
        numerators.replicate,
        metrics.metric,
        {{ ratio('numerators.value', 'denominators.value') }} as value
    from metrics
    inner join sums_by_name as numerators on metrics.numerator = numerators.sum_name
    inner join sums_by_name as denominators
        on
            metrics.denominator = denominators.sum_name
            and numerators.evaluation_id = denominators.evaluation_id
            and numerators.side = denominators.side
            and numerators.replicate = denominators.replicate

),

{# The champion against itself has no difference to speak of: null, and so are its bounds. #}
compared as (

    select
        measured.evaluation_id,
        measured.side,
        measured.metric,
        measured.replicate,
        measured.value,
        case when measured.side = 'challenger' then measured.value - champion.value end as delta
    from replicate_metrics as measured
    inner join replicate_metrics as champion
        on
            measured.evaluation_id = champion.evaluation_id
            and measured.metric = champion.metric
            and measured.replicate = champion.replicate
    where champion.side = 'champion'

),

estimates as (

    select
        evaluation_id,
        side,
        metric,
        {% for name in ('value', 'delta') %}
        max(case when replicate = 0 then {{ name }} end) as {{ name }},
        percentile_cont({{ tail }}) within group (
            order by case when replicate > 0 then {{ name }} end
        ) as {{ name }}_ci_low,
        percentile_cont({{ 1 - tail }}) within group (
            order by case when replicate > 0 then {{ name }} end
        ) as {{ name }}_ci_high{{ ',' if not loop.last }}
        {% endfor %}
    from compared
    group by evaluation_id, side, metric

),

counts as (

    select
        evaluation_id,
        sum(n_searches) as n,
        count(*) as n_users,
        sum(n_clicks) as n_clicks,
        {{ ratio(
            'power(' ~ exact_sum('click_weight') ~ ', 2)', exact_sum('squared_click_weight')
        ) }}
            as effective_clicks
    from user_sums
    where side = 'challenger'
    group by evaluation_id

),

sides as (

    select
        evaluations.*,
        named.side,
        case
            when named.side = 'challenger' then evaluations.model_version
            else evaluations.champion_version
        end as measured_version
    from evaluations
    cross join (values ('challenger'), ('champion')) as named (side)
    where
        named.side = 'challenger'
        or evaluations.champion_version <> evaluations.model_version

),

{# An evaluation that found no search still answers, with nothing in the value. #}
answered as (

    select
        sides.evaluation_id,
        sides.measured_version as model_version,
        sides.champion_version,
        sides.side = 'champion' as is_champion,
        sides.window_start,
        sides.window_end,
        sides.requested_at,
        metrics.metric,
        metrics.minimum_effect,
        estimates.value,
        estimates.value_ci_low,
        estimates.value_ci_high,
        estimates.delta,
        estimates.delta_ci_low,
        estimates.delta_ci_high,
        coalesce(counts.n, 0) as n,
        coalesce(counts.n_users, 0) as n_users,
        coalesce(counts.n_clicks, 0) as n_clicks,
        counts.effective_clicks,
        {# Only the challenger's row: the gate reads exactly one row per evaluation. #}
        metrics.metric = '{{ var("gate_metric") }}' and sides.side = 'challenger'
            as is_gate_metric
    from sides
    cross join metrics
    left join estimates
        on
            sides.evaluation_id = estimates.evaluation_id
            and sides.side = estimates.side
            and metrics.metric = estimates.metric
    left join counts
        on sides.evaluation_id = counts.evaluation_id

),

final as (

    select
        cast(evaluation_id as string) as evaluation_id,
        cast(model_version as string) as model_version,
        cast(champion_version as string) as champion_version,
        cast(metric as string) as metric,
        cast(value as double) as value,
        cast(value_ci_low as double) as ci_low,
        cast(value_ci_high as double) as ci_high,
        cast(delta as double) as delta,
        cast(delta_ci_low as double) as delta_ci_low,
        cast(delta_ci_high as double) as delta_ci_high,
        cast(n as bigint) as n,
        cast(n_users as bigint) as n_users,
        cast(n_clicks as bigint) as n_clicks,
        cast(effective_clicks as double) as effective_clicks,
        is_champion,
        is_gate_metric,
        {# A percentile interval of a handful of users or clicks is too narrow to be believed. #}
        is_gate_metric
            and coalesce(delta_ci_low > minimum_effect, false)
            and n_users >= {{ var('min_evaluation_users') }}
            and n_clicks >= {{ var('min_evaluation_clicks') }} as is_better,
        cast(window_start as timestamp) as window_start,
        cast(window_end as timestamp) as window_end,
        cast(requested_at as timestamp) as evaluated_at
    from answered

)

select * from final
