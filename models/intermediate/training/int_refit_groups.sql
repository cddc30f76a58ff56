{{ config(materialized='view') }}

{# As fct_training_groups, up to the end of the log and all in one part. #}
with

impressions as (

    select * from {{ ref('int_refit_impressions') }}

),

windows as (

    select * from {{ ref('int_windows') }}

),

page_clicks as (

    {{ clicks_on_pages('impressions') | indent(4) }}

),

{# The var as_of ends the log here too: a click after it is none yet. #}
clicks as (

    select
        page_clicks.*,
        'refit' as split
    from page_clicks
    inner join windows
        on coalesce(page_clicks.clicked_at, page_clicks.searched_at) < windows.evaluation_end

),

negatives as (

    {{ pair_negatives('clicks', 'impressions') | indent(4) }}

),

final as (

    {{ click_groups('clicks', 'negatives') | indent(4) }}

)

select * from final
