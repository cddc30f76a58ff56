{#
    Training groups from clicks, each with its part of the training set in `split`. One group per
    click would give the same model; clicks of one pair on one day and one page share their
    candidates and features, so they merge into one group that carries the sum of their weights:
    those of the propensities, and those clipped more tightly, which vary less where clicks are few.
    Two pages do not: the gradient of a group depends on the ranks among all its documents.
#}
{% macro click_groups(clicks, negatives) %}
    with positives as (
        select
            md5(
                cast(feature_date as string) || '|' || query || '|' || doc_id || '|' || page_id
            ) as group_id,
            feature_date,
            query,
            doc_id as positive_doc,
            page_id,
            {{ exact_sum('ips_label') }} as weight,
            {{ exact_sum('least(ips_label, ' ~ var('tight_ips_clip') ~ ')') }} as clipped_weight,
            -- a group on both sides of a cut within a day is kept from the fit: 'validation' is
            -- the later of the names
            max(split) as split
        from {{ clicks }}
        group by feature_date, query, doc_id, page_id
    ),

    positive_negatives as (
        select
            positives.*,
            negatives.negative_doc
        from positives
        inner join {{ negatives }} as negatives
            on
                positives.query = negatives.query
                and positives.positive_doc = negatives.positive_doc
                and positives.page_id = negatives.page_id
    ),

    -- a positive without negatives teaches a ranker nothing
    members as (
        select
            group_id,
            feature_date,
            query,
            negative_doc as doc_id,
            0 as is_positive,
            weight,
            clipped_weight,
            split
        from positive_negatives
        union all
        select distinct
            group_id,
            feature_date,
            query,
            positive_doc as doc_id,
            1 as is_positive,
            weight,
            clipped_weight,
            split
        from positive_negatives
    ),

    -- regularisation, minimum leaf weights and learning rate mean the same on every log only if
    -- the mean weight is the same
    totals as (
        select
            count(*) as n_rows,
            {{ exact_sum('weight') }} as weight,
            {{ exact_sum('clipped_weight') }} as clipped_weight
        from members
    ),

    -- LightGBM breaks ties by row order: any order that knows the click or the rank would leak it
    ordered as (
        select
            *,
            row_number() over (
                order by feature_date, group_id, md5(group_id || '|' || doc_id), doc_id
            ) as row_order
        from members
    )

    select
        cast(ordered.group_id as string) as group_id,
        cast(ordered.query as string) as query,
        cast(ordered.doc_id as string) as doc_id,
        cast(ordered.is_positive as integer) as is_positive,
        cast(ordered.weight * totals.n_rows / totals.weight as double) as weight,
        cast(
            ordered.clipped_weight * totals.n_rows / totals.clipped_weight as double
        ) as clipped_weight,
        cast(ordered.feature_date as date) as feature_date,
        cast(ordered.split as string) as split,
        cast(ordered.row_order as bigint) as row_order
    from ordered
    cross join totals
{% endmacro %}
