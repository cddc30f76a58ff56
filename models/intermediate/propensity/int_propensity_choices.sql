{#
    Which estimator's curve is used in each context, and why. `auto` takes the first of the list
    that is identified at every rank that was shown, down to rank 10; randomised traffic comes first
    because it needs no assumption about documents, the power law last because it is one itself.
#}
{% set preference = ['randomised', 'ipf'] %}
{% set requested = var('propensity_estimator') %}

-- noqa: disable=LT02
with curves as (
    select * from {{ ref('int_propensity_curves') }}
),

ranks as (
    select * from {{ ref('int_propensity_ranks') }}
),

contexts as (
    select
        context,
        least(10, coalesce(max(case when n_impressions > 0 then rank end), 1)) as n_needed
    from ranks
    group by context
),

-- the weakest rank decides, so the reason can name its clicks
fitness as (
    select
        contexts.context,
        contexts.n_needed,
        {% for estimator in preference %}
        count(
            case when curves.estimator = '{{ estimator }}' and curves.is_identified then 1 end
        ) = contexts.n_needed as is_{{ estimator }}_fit,
        min(case when curves.estimator = '{{ estimator }}' then curves.n_clicks end)
            as least_{{ estimator }}_clicks{{ ',' if not loop.last }}
        {% endfor %}
    from contexts
    left join curves
        on
            contexts.context = curves.context
            and contexts.n_needed >= curves.rank
    group by contexts.context, contexts.n_needed
)

select
    context,
    {% if requested == 'auto' %}
    case
        when is_randomised_fit then 'randomised'
        when is_ipf_fit then 'ipf'
        else 'power_law'
    end as estimator,
    case
        when is_randomised_fit
            then
                'auto: randomised traffic identifies ranks 1 to ' || cast(n_needed as string)
                || ' (at least ' || cast(least_randomised_clicks as string)
                || ' clicks at each).'
        when is_ipf_fit
            then
                'auto: randomised traffic is too thin (' || cast(least_randomised_clicks as string)
                || ' clicks at its weakest rank of 1 to ' || cast(n_needed as string)
                || ', {{ var("min_randomised_clicks") }} needed), but documents shown at several'
                || ' ranks identify them (at least ' || cast(least_ipf_clicks as string)
                || ' clicks at each).'
        else
            'auto: neither randomised traffic (' || cast(least_randomised_clicks as string)
            || ' clicks at its weakest rank of 1 to ' || cast(n_needed as string)
            || ', {{ var("min_randomised_clicks") }} needed) nor documents shown at several ranks ('
            || cast(least_ipf_clicks as string)
            || ' clicks, {{ var("min_ipf_clicks") }} needed) identify every rank with an interval,'
            || ' so 1 / rank ^ {{ var("propensity_alpha") }} is assumed.'
    end as choice_reason
    {% else %}
    '{{ requested }}' as estimator,
    'The var propensity_estimator asks for {{ requested }}.' as choice_reason
    {% endif %}
from fitness
