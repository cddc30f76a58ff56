-- depends_on: {{ ref('int_log_searches') }}, which stops the build of an unusable log

with

conventions as (

    select * from {{ ref('int_applications__conventions') }}

),

final as (

    select
        cast(source_format as string) as source_format,
        cast(application as string) as application,
        cast(rank_base_evidence as string) as rank_base_evidence,
        cast(impression_source as string) as impression_source,
        cast(rank_base as integer) as rank_base,
        n_ordinals,
        n_zero_ordinals,
        n_searches_with_ordinals,
        n_searches_with_zero,
        n_agree_zero_based,
        n_agree_one_based
    from conventions

)

select * from final
