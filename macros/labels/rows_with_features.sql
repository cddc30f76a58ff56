{#
    The rows of training groups with what was known of each document before the group's day, and
    with the features file. The last two arguments are CTEs of int_behavior_features and
    int_document_features.

    A share of the groups is shown as if nobody had asked the query yet. Almost all clicks fall on
    documents with a history, and a ranker that never saw any without learns to do without the
    features file.
#}
{% macro rows_with_features(training_groups, behavior, features) %}
    with pairs as (
        select * from {{ behavior }}
        where level = 'pair'
    ),

    documents as (
        select * from {{ behavior }}
        where level = 'document'
    ),

    overall as (
        select * from {{ behavior }}
        where level = 'all'
    )

    select
        training_groups.*,
        documents.activity_date as behavior_known_on,
        {{ behavior_features(
            'pairs', 'documents', 'overall', 'training_groups.feature_date'
        ) | indent(8) }},
        features.* exclude (query, doc_id) -- noqa: RF02
    from {{ training_groups }} as training_groups
    left join pairs
        on
            training_groups.query = pairs.query
            and training_groups.doc_id = pairs.doc_id
            and {{ known_before('pairs', 'training_groups.feature_date') | indent(12) }}
    left join documents
        on
            training_groups.doc_id = documents.doc_id
            and {{ known_before('documents', 'training_groups.feature_date') | indent(12) }}
            and {{ hash_fraction("'history|' || training_groups.group_id") }}
            >= {{ var('hidden_history_share') }}
    left join overall
        on {{ known_before('overall', 'training_groups.feature_date') | indent(12) }}
    left join {{ features }} as features
        on
            training_groups.query = features.query
            and training_groups.doc_id = features.doc_id
{% endmacro %}
