-- depends_on: {{ ref('int_activities__sessionized') }}, of which the hook notes what changed

{{ config(
    materialized='incremental',
    meta={'replaces': {'everything': []}},
    post_hook='{{ record_changed_click_rates(this) }}',
) }}

{% set share = var('bot_max_clicked_share') %}
{% set bands = var('bot_click_rate_bands') %}

with

signals as (

    select * from {{ ref('int_visitor_days__bot_signals') }}
    where application is not null

),

{#
    How often people click, not how often searches are clicked: a day counts once, however much was
    searched, and neither big days nor those that another rule gives away count at all.
#}
few_searches as (

    select
        application,
        least(n_clicked_searches / cast(n_searches as double), 1.0) as clicked_share
    from signals
    where
        n_searches < {{ var('bot_min_clickless_searches') }}
        {%- for condition in bot_rules().values() %}
        and not coalesce({{ condition }}, false)
        {%- endfor %}

),

applications as (

    select distinct application from signals

),

rates as (

    select
        applications.application,
        count(few_searches.application) as n_visitor_days,
        {{ exact_sum('few_searches.clicked_share') }}
        / nullif(count(few_searches.application), 0) as click_rate
    from applications
    left join few_searches on applications.application = few_searches.application
    group by applications.application

),

{# The lower edge of a band: a rate that moves a little moves no verdict. #}
banded as (

    select
        *,
        cast(case
            when n_visitor_days < {{ var('bot_min_click_rate_days') }} then {{ bands | last }}
            {%- for edge in bands | reverse %}
            when click_rate >= {{ edge }} then {{ edge }}
            {%- endfor %}
            else 0
        end as double) as assumed_click_rate
    from rates

),

{# What the few-clicks rules come to, for people to read; they themselves judge by the chance. #}
thresholds as (

    select
        *,
        case
            when assumed_click_rate > 0 then cast(greatest(
                {{ var('bot_min_clickless_searches') }},
                ceil(ln({{ var('bot_max_few_clicks_chance') }}) / ln(1 - assumed_click_rate))
            ) as bigint)
        end as min_clickless_searches,
        case
            when assumed_click_rate > {{ share }} then cast(greatest(
                {{ var('bot_min_few_click_searches') }},
                ceil(-ln({{ var('bot_max_few_clicks_chance') }}) / (
                    (1 - {{ share }}) * ln((1 - {{ share }}) / (1 - assumed_click_rate))
                    {%- if share > 0 %}
                    + {{ share }} * ln({{ share }} / assumed_click_rate)
                    {%- endif %}
                ))
            ) as bigint)
        end as min_few_click_searches,
        case
            when assumed_click_rate > 0 then cast(greatest(
                {{ var('bot_min_deep_searches') }},
                ceil(ln({{ var('bot_max_deep_few_clicks_chance') }}) / ln(1 - assumed_click_rate))
            ) as bigint)
        end as min_deep_clickless_searches
    from banded

),

{# A rate that stands is as old as it was: only a new one judges days anew. #}
-- noqa: disable=LT02
final as (

    select
        thresholds.*,
        {% if is_incremental() -%}
            coalesce(previous.decided_in_build, {{ current_build() }}) as decided_in_build
        {%- else -%}
            {{ current_build() }} as decided_in_build
        {%- endif %}
    from thresholds
    {% if is_incremental() -%}
        left join {{ this }} as previous
            on
                thresholds.application = previous.application
                and thresholds.assumed_click_rate = previous.assumed_click_rate
    {%- endif %}

)

select * from final
