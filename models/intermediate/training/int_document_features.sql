{#
    The features file, one row per query and document of the log, and per document that the file
    gives for a query of the log: candidates that were never shown. A value given for the query and
    the document wins over one given for the document alone, column by column. The file's columns
    are its owner's business, so they are taken as they come; text becomes null.
#}
with

impressions as (

    select * from {{ ref('fct_impressions') }}

),

features as (

    select
        *,
        {{ normalize_query('query') }} as feature_query
    from {{ source('raw', 'ranking_features') }}

),

queries as (

    select distinct query
    from impressions

),

pairs as (

    select
        query,
        doc_id
    from impressions
    union
    select
        features.feature_query as query,
        cast(features.doc_id as string) as doc_id
    from features
    inner join queries
        on features.feature_query = queries.query
    where features.doc_id is not null

),

matched as (

    select
        pairs.query as pair_query,
        pairs.doc_id as pair_doc_id,
        features.*
    from pairs
    inner join features
        on
            pairs.doc_id = cast(features.doc_id as string)
            and pairs.query = features.feature_query
    union all
    select
        pairs.query as pair_query,
        pairs.doc_id as pair_doc_id,
        features.*
    from pairs
    inner join features
        on
            pairs.doc_id = cast(features.doc_id as string)
            and features.query is null

),

{#
    F_\0 is the name that columns() found, after f_ max() only settles which of several equal keys
    counts; the keys ride along because a file without features would otherwise leave nothing to
    select.
#}
resolved as (

    select
        pair_query,
        pair_doc_id,
        coalesce(
            max(try_cast(columns(* exclude (pair_query, pair_doc_id)) as double))
            filter (where feature_query is not null),
            max(try_cast(columns(* exclude (pair_query, pair_doc_id)) as double))
            filter (where feature_query is null)
        ) as 'f_\0' -- noqa: RF05
    from matched
    group by pair_query, pair_doc_id

),

final as (

    select
        pair_query as query,
        pair_doc_id as doc_id,
        * exclude (pair_query, pair_doc_id, f_query, f_doc_id, f_feature_query)
    from resolved

)

select * from final
