{{ config(
    meta={'replaces': {'everything': []}},
    post_hook='{{ record_changed_conventions(this) }}',
) }}

with

ordinals as (

    select * from {{ ref('int_searches__ordinals') }}

),

{# Viewport impressions and hit lists are two denominators; an application keeps to one. #}
evidence as (

    select
        source_format,
        application,
        cast(sum(n_ordinals) as bigint) as n_ordinals,
        cast(sum(n_zero_ordinals) as bigint) as n_zero_ordinals,
        count(case when n_ordinals > 0 then 1 end) as n_searches_with_ordinals,
        count(case when n_zero_ordinals > 0 then 1 end) as n_searches_with_zero,
        cast(sum(n_agree_zero_based) as bigint) as n_agree_zero_based,
        cast(sum(n_agree_one_based) as bigint) as n_agree_one_based,
        cast(sum(n_impression_events) as bigint) as n_impression_events,
        cast(sum(n_impression_rows) as bigint) as n_impression_rows
    from ordinals
    group by source_format, application

),

conventions as (

    select
        source_format,
        application,
        cast(case
            when n_ordinals = 0 then 1
            when
                n_agree_zero_based >= 0.9 * (n_agree_zero_based + n_agree_one_based)
                and n_agree_zero_based > 0
                then 0
            when
                n_agree_one_based >= 0.9 * (n_agree_zero_based + n_agree_one_based)
                and n_agree_one_based > 0
                then 1
            when
                n_searches_with_zero
                >= {{ var('rank_base_zero_share') }} * n_searches_with_ordinals
                then 0
            else 1
        end as integer) as rank_base,
        case
            when n_ordinals = 0 then 'no ordinals'
            when
                greatest(n_agree_zero_based, n_agree_one_based)
                >= 0.9 * (n_agree_zero_based + n_agree_one_based)
                and n_agree_zero_based + n_agree_one_based > 0
                then 'agrees with the hit lists'
            when
                n_searches_with_zero
                >= {{ var('rank_base_zero_share') }} * n_searches_with_ordinals
                then 'ordinal 0 occurs in many searches'
            when n_zero_ordinals > 0 then 'ordinal 0 occurs in few searches'
            else 'ordinal 0 never occurs'
        end as rank_base_evidence,
        n_ordinals,
        n_zero_ordinals,
        n_searches_with_ordinals,
        n_searches_with_zero,
        n_agree_zero_based,
        n_agree_one_based,
        case
            when n_impression_rows > 0 then 'row'
            when n_impression_events > 0 then 'impression_event'
            else 'hit_list'
        end as impression_source
    from evidence

),

{# A decision that stands is as old as it was: only a new one changes how searches are read. #}
-- noqa: disable=LT02
final as (

    select
        conventions.*,
        {% if is_incremental() -%}
            coalesce(previous.decided_in_build, {{ current_build() }}) as decided_in_build
        {%- else -%}
            {{ current_build() }} as decided_in_build
        {%- endif %}
    from conventions
    {% if is_incremental() -%}
        left join {{ this }} as previous
            on
                conventions.source_format = previous.source_format
                and conventions.application = previous.application
                and conventions.rank_base = previous.rank_base
                and conventions.impression_source = previous.impression_source
    {%- endif %}

)

select * from final
