with

model_versions as (

    select * from {{ source('flywheel_state', 'model_versions') }}

),

moved as (

    select * from {{ ref('int_models__moved') }}

),

final as (

    select
        cast(model_versions.model_version as string) as model_version,
        cast(moved.state as string) as state,
        cast(model_versions.registered_at as timestamp) as registered_at,
        cast(moved.state_changed_at as timestamp) as state_changed_at,
        cast(model_versions.window_start as timestamp) as window_start,
        cast(model_versions.window_end as timestamp) as window_end,
        cast(model_versions.fingerprint as string) as fingerprint,
        cast(model_versions.artifact_path as string) as artifact_path,
        cast(model_versions.artifact_sha256 as string) as artifact_sha256,
        cast(model_versions.features as string) as features,
        cast(model_versions.params as string) as params,
        cast(model_versions.metrics as string) as metrics,
        cast(moved.reason as string) as reason,
        cast(moved.refit_of as string) as refit_of,
        cast(moved.is_current_champion as boolean) as is_current_champion,
        cast(moved.previous_champion as string) as previous_champion
    from model_versions
    inner join moved on model_versions.model_version = moved.model_version

)

select * from final
