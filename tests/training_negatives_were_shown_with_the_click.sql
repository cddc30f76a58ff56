-- what a document is compared with was shown in a search of that day in which it was clicked
{{ config(group='training') }}

with clicks as (
    select * from {{ ref('int_training_clicks') }}
),

impressions as (
    select * from {{ ref('fct_impressions') }}
),

training_groups as (
    select * from {{ ref('fct_training_groups') }}
),

compared as (
    select
        positives.feature_date,
        positives.query,
        positives.doc_id as positive_doc,
        others.doc_id as negative_doc
    from training_groups as positives
    inner join training_groups as others
        on
            positives.group_id = others.group_id
            and others.is_positive = 0
    where positives.is_positive = 1
),

shown as (
    select
        clicks.feature_date,
        clicks.query,
        clicks.doc_id as positive_doc,
        impressions.doc_id as negative_doc
    from clicks
    inner join impressions
        on
            clicks.search_id = impressions.search_id
            and clicks.doc_id <> impressions.doc_id
)

select * from compared
except
select * from shown
