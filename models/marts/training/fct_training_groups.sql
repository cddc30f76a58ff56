with

training_clicks as (

    select * from {{ ref('int_training_clicks') }}

),

pair_negatives as (

    select * from {{ ref('int_pair_negatives') }}

),

clicks as (

    select
        *,
        case when is_validation then 'validation' else 'fit' end as split
    from training_clicks

),

click_groups as (

    {{ click_groups('clicks', 'pair_negatives') | indent(4) }}

),

final as (

    select
        group_id,
        query,
        doc_id,
        is_positive,
        weight,
        clipped_weight,
        feature_date,
        split,
        row_order
    from click_groups

)

select * from final
