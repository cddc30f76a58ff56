{% set prior = var('behavior_prior_impressions') %}

with

click_weights as (

    select * from {{ ref('int_click_weights') }}

),

windows as (

    select * from {{ ref('int_windows') }}

),

voted as (

    select * from {{ ref('int_documents__voted') }}

),

ranks as (

    select
        rank,
        sum(clicked) as n_clicks,
        {{ exact_sum('propensity') }} as exposure
    from click_weights
    group by rank

),

{# A thin rank is drawn to what was clicked down to it, so that none is certain of 0. #}
rates as (

    select
        rank,
        {{ shrunk_rate(
            'n_clicks',
            'exposure',
            'sum(n_clicks) over down_to / sum(exposure) over down_to',
            prior
        ) }} as click_rate
    from ranks
    window down_to as (order by rank rows between unbounded preceding and current row)

),

{# Rankers place the better first, if they place at all: noise must not say otherwise. #}
priors as (

    select
        rank,
        min(click_rate) over (
            order by rank rows between unbounded preceding and current row
        ) as click_rate
    from rates

),

{#
    A ratio of sums: dividing each click by its own propensity and averaging has the same
    expectation and more variance.
#}
documents as (

    select
        click_weights.query,
        click_weights.doc_id,
        count(*) as n_impressions,
        sum(click_weights.clicked) as n_clicks,
        sum(click_weights.rank) as sum_ranks,
        {{ exact_sum('click_weights.propensity') }} as exposure,
        {# By impressions: by propensities, one shown deeper would lean on its better ranks. #}
        round({{ exact_sum('priors.click_rate') }} / count(*), 12) as prior_rate,
        {{ exact_sum('click_weights.propensity * priors.click_rate') }} as expected_clicks
    from click_weights
    inner join priors
        on click_weights.rank = priors.rank
    group by click_weights.query, click_weights.doc_id

),

overall as (

    select cast(sum(n_clicks) as double) / {{ exact_sum('exposure') }} as click_rate
    from documents

),

{#
    How much more or less is clicked for the query than at those ranks elsewhere; null where nothing
    is clicked at them at all.
#}
queries as (

    select
        documents.query,
        (sum(documents.n_clicks) + {{ prior }} * overall.click_rate) / nullif(
            {{ exact_sum('documents.expected_clicks') }} + {{ prior }} * overall.click_rate, 0
        ) as click_ratio
    from documents
    cross join overall
    group by documents.query, overall.click_rate

),

{#
    A document without a click was examined less the deeper it stood, which is no reason to believe
    in it more: it counts as examined as any without a click above it.
#}
weighed as (

    select
        *,
        case
            when n_clicks > 0 then exposure
            else max(exposure) over (
                partition by query, n_clicks > 0
                order by
                    prior_rate desc, sum_ranks / n_impressions, exposure
                rows between unbounded preceding and current row
            )
        end as evidence
    from documents

),

{# Names of labelling functions need no escaping. #}
ballots as (

    select
        query,
        doc_id,
        window_start,
        window_end,
        '{'
        {%- for function in labelling_functions() %}
        || '"{{ function.name }}": ' || cast(
            max(case when function_number = {{ loop.index }} then n_found end) as string
        )
        {%- if not loop.last %} || ', '{% endif %}
        {%- endfor %}
        || '}' as votes
    from voted
    group by query, doc_id, window_start, window_end

),

final as (

    select
        cast(weighed.query as string) as query,
        cast(weighed.doc_id as string) as doc_id,
        cast(windows.window_start as timestamp) as window_start,
        cast(windows.window_end as timestamp) as window_end,
        cast({{ shrunk_rate(
            'weighed.n_clicks',
            'weighed.evidence',
            'coalesce(weighed.prior_rate * queries.click_ratio, 0)',
            prior
        ) }} as double) as label,
        cast(weighed.exposure as double) as weight,
        cast(ballots.votes as string) as votes,
        cast(cast(weighed.n_clicks as double) / weighed.n_impressions as double) as naive_ctr,
        cast(weighed.n_clicks / weighed.exposure as double) as ips_ctr,
        cast(weighed.n_impressions as bigint) as n_impressions,
        cast(weighed.n_clicks as bigint) as n_clicks
    from weighed
    inner join queries
        on weighed.query = queries.query
    cross join windows
    left join ballots
        on
            weighed.query = ballots.query
            and weighed.doc_id = ballots.doc_id
            and windows.window_start = ballots.window_start
            and windows.window_end = ballots.window_end

)

select * from final
