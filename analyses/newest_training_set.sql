-- What was the newest training set made of, and can a ranker learn from it?
with

manifest as (

    select * from {{ ref('fct_training_manifest') }}

),

final as (

    select
        manifest_id,
        window_start,
        window_end,
        embargo_end,
        evaluation_start,
        evaluation_end,
        n_pairs,
        n_groups,
        n_rows,
        fingerprint,
        vars,
        is_leak_free,
        is_trainable,
        not_trainable_reason
    from manifest

)

select * from final
order by window_end desc, manifest_id desc
limit 1
