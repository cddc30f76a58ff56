{{ config(materialized='view') }}

with

final as (

    {% for format in log_formats() -%}
    select
        '{{ format }}' as source_format,
        source_file,
        row_number,
        search_key,
        search_id,
        application,
        doc_id,
        ordinal,
        list_rank,
        impression_source,
        preference,
        is_contested,
        shown_at,
        is_randomised,
        ordinal_before_swap,
        logging_propensity,
        grade,
        is_converted
    from {{ ref('stg_' ~ format ~ '__impressions') }}
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select * from final
