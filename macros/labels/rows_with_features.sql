{#
    The rows of training groups with what was known of each document before the group's day, and
    with the features file. Behaviour comes as one relation a level: an engine keeps all of what is
    read three times.

    A share of the groups is shown as if nobody had asked the query yet. Almost all clicks fall on
    documents with a history, and a ranker that never saw any without learns to do without the
    features file.
#}
{% macro rows_with_features(training_groups, pairs, documents, overall, features) %}
    -- one row a day, so that groups find theirs by equality
    with feature_dates as (
        select distinct feature_date
        from {{ training_groups }}
    ),

    overall_by_date as (
        select
            feature_dates.feature_date,
            overall.n_impressions,
            overall.exposure,
            overall.n_clicks,
            overall.n_sat_clicks
        from feature_dates
        inner join {{ overall }} as overall
            on {{ known_before('overall', 'feature_dates.feature_date') | indent(16) }}
    )

    select
        training_groups.*,
        documents.activity_date as behavior_known_on,
        {{ behavior_features(
            'pairs', 'documents', 'overall_by_date', 'training_groups.feature_date'
        ) | indent(8) }},
        features.* exclude (query, doc_id) -- noqa: RF02
    from {{ training_groups }} as training_groups
    left join {{ pairs }} as pairs
        on
            training_groups.query = pairs.query
            and training_groups.doc_id = pairs.doc_id
            and {{ known_before('pairs', 'training_groups.feature_date') | indent(12) }}
    left join {{ documents }} as documents
        on
            training_groups.doc_id = documents.doc_id
            and {{ known_before('documents', 'training_groups.feature_date') | indent(12) }}
            and {{ hash_fraction("'history|' || training_groups.group_id") }}
            >= {{ var('hidden_history_share') }}
    left join overall_by_date
        on training_groups.feature_date = overall_by_date.feature_date
    left join {{ features }} as features
        on
            training_groups.query = features.query
            and training_groups.doc_id = features.doc_id
{% endmacro %}
