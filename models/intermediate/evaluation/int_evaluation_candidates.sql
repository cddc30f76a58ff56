{#
    A ranker orders all that its query could bring, not the page that another one chose. Nothing is
    known of a document from after the training window: the evaluation window must not teach the
    model it judges.
#}
with

impressions as (

    select * from {{ ref('fct_impressions') }}

),

searches as (

    select
        query,
        searched_at
    from {{ ref('fct_impressions') }}

),

windows as (

    select * from {{ ref('int_windows') }}

),

pair_behavior as (

    select * from {{ ref('int_evaluation_behavior') }}
    where query is not null

),

document_behavior as (

    select * from {{ ref('int_evaluation_behavior') }}
    where query is null

),

features as (

    select * from {{ ref('int_document_features') }}

),

queries as (

    select distinct searches.query
    from searches
    inner join windows
        on
            searches.searched_at >= windows.evaluation_start
            and searches.searched_at < windows.evaluation_end

),

shown_pairs as (

    select distinct
        impressions.query,
        impressions.doc_id
    from impressions
    inner join windows
        on
            impressions.searched_at >= windows.window_start
            and impressions.searched_at < windows.evaluation_end
    inner join queries on impressions.query = queries.query

),

candidates as (

    select
        query,
        doc_id
    from shown_pairs

    union

    select
        features.query,
        features.doc_id
    from features
    inner join queries on features.query = queries.query

),

final as (

    select
        candidates.query,
        candidates.doc_id,
        {% for name in behavior_feature_names() %}
        case
            when pair_behavior.doc_id is not null then pair_behavior.{{ name }}
            else document_behavior.{{ name }}
        end as {{ name }},
        {% endfor %}
        features.* exclude (query, doc_id) -- noqa: RF02
    from candidates
    left join pair_behavior
        on
            candidates.query = pair_behavior.query
            and candidates.doc_id = pair_behavior.doc_id
    left join document_behavior on candidates.doc_id = document_behavior.doc_id
    left join features
        on
            candidates.query = features.query
            and candidates.doc_id = features.doc_id

)

select * from final
