{#
    Features as of the end of the training window, the same for every evaluated search: the
    evaluation window must not teach the model it judges.
#}
with impressions as (
    select * from {{ ref('fct_impressions') }}
),

windows as (
    select * from {{ ref('int_windows') }}
),

behavior as (
    select * from {{ ref('int_evaluation_behavior') }}
),

pairs as (
    select * from behavior
    where query is not null
),

documents as (
    select * from behavior
    where query is null
),

features as (
    select * from {{ ref('int_document_features') }}
)

select
    impressions.search_id,
    impressions.doc_id,
    impressions.query,
    impressions.user_id,
    impressions.searched_at,
    impressions.rank,
    impressions.rank_before_swap,
    {% for name in behavior_feature_names() %}
    case
        when pairs.doc_id is not null then pairs.{{ name }}
        else documents.{{ name }}
    end as {{ name }},
    {% endfor %}
    features.* exclude (query, doc_id) -- noqa: RF02
from impressions
inner join windows
    on
        impressions.searched_at >= windows.evaluation_start
        and impressions.searched_at < windows.evaluation_end
left join pairs
    on
        impressions.query = pairs.query
        and impressions.doc_id = pairs.doc_id
left join documents
    on impressions.doc_id = documents.doc_id
left join features
    on
        impressions.query = features.query
        and impressions.doc_id = features.doc_id
