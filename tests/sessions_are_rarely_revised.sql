{{ config(severity='warn') }}

{# Sessions that changed after they were first published, day by day. #}
with

revisions as (

    select * from {{ ref('fct_session_revisions') }}

)

select * from revisions
where share_revised > {{ var('max_revised_share') }}
