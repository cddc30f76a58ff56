{#
    Which estimator's curve is used in each context, and why. `auto` takes what is known rank by
    rank (int_propensity_auto); the reason says which ranks rest on what, and which decay is
    fitted or assumed.
#}
{% set requested = var('propensity_estimator') %}
{% set sources = propensity_sources() %}

with

auto_curves as (

    select * from {{ ref('int_propensity_auto') }}

),

alphas as (

    select * from {{ ref('int_propensity_alphas') }}

),

regimes as (

    select * from {{ ref('int_propensity_regimes') }}

),

{#
    Neighbouring ranks with one source are one range: rank - row number is the same for all of them.
#}
numbered as (

    select
        context,
        source,
        rank,
        rank - row_number() over (partition by context, source order by rank) as island
    from auto_curves

),

islands as (

    select
        context,
        source,
        min(rank) as first_rank,
        count(*) as n_ranks,
        cast(min(rank) as string)
        || case when max(rank) > min(rank) then '-' || cast(max(rank) as string) else '' end
            as rank_range
    from numbered
    group by context, source, island

),

parts as (

    select
        context,
        case source
            {% for source in sources %}
            when '{{ source.name }}' then {{ loop.index }}
            {% endfor %}
        end as place,
        case when sum(n_ranks) > 1 then 'ranks ' else 'rank ' end
        || string_agg(rank_range, ', ' order by first_rank) || ': '
        || case source
            {% for source in sources %}
            when '{{ source.name }}' then '{{ source.words }}'
            {% endfor %}
        end as sentence
    from islands
    group by context, source

),

sentences as (

    select
        context,
        string_agg(sentence, '; ' order by place) as sentence
    from parts
    group by context

),

reasons as (

    select
        regimes.context,
        'auto: ' || sentences.sentence || '. '
        || case
            when alphas.fitted_alpha is not null
                then
                    'Alpha is fitted, ' || {{ format_decimal('alphas.fitted_alpha', 2) }} || ' +- '
                    || {{ format_decimal('alphas.fitted_std_error', 2) }}
                    || case
                        when
                            {{ format_decimal('alphas.fitted_alpha', 2) }}
                            = {{ format_decimal('alphas.alpha', 2) }}
                            then ''
                        else
                            '; drawn to the '
                            || case
                                when alphas.is_part
                                    then
                                        {{ format_decimal('alphas.whole_alpha', 2) }}
                                        || ' of all contexts'
                                else 'default of {{ var("propensity_alpha") }}'
                            end
                            || ' it is ' || {{ format_decimal('alphas.alpha', 2) }} || ' +- '
                            || {{ format_decimal('alphas.alpha_std_error', 2) }}
                    end || '.'
            when alphas.is_part
                then
                    'Alpha is taken from all contexts, '
                    || {{ format_decimal('alphas.alpha', 2) }} || ' +- '
                    || {{ format_decimal('alphas.alpha_std_error', 2) }} || '.'
            else
                'Nothing ties ranks together, so alpha is assumed: '
                || '{{ var("propensity_alpha") }} +- '
                || {{ format_decimal('alphas.alpha_std_error', 2) }} || '.'
        end
        || case
            when abs(alphas.difference_from_others) > 2 * alphas.difference_std_error
                then
                    ' It differs from that of the other contexts by '
                    || {{ format_decimal('alphas.difference_from_others', 2, signed=true) }}
                    || ' +- ' || {{ format_decimal('alphas.difference_std_error', 2) }} || '.'
            else ''
        end as reason,
        regimes.is_pooled_over_regimes
    from regimes
    inner join alphas
        on regimes.context = alphas.context
    inner join sentences
        on regimes.context = sentences.context

),

final as (

    select
        context,
        '{{ requested }}' as estimator,
        {% if requested == 'auto' %}
        reason
        {% else %}
        'The var propensity_estimator asks for {{ requested }}.'
        {% endif %}
        || case
            when is_pooled_over_regimes
                then
                    ' Sets of serving models alone leave too little to compare, so documents are'
                    || ' compared across them, which can flatter deep ranks.'
            else ''
        end as choice_reason
    from reasons

)

select * from final
