-- The id changes with the training set, its window and the vars it was made with, and the vars can
-- be read back.
select *
from {{ ref('fct_training_manifest') }}
where
    manifest_id <> md5(
        fingerprint
        || '|' || coalesce(cast(window_start as varchar), '')
        || '|' || coalesce(cast(window_end as varchar), '')
        || '|' || vars
    )
    or coalesce(not json_valid(vars), true)
