{#
    A serving side that gives users another variant than their bucket calls for is broken wiring:
    its users count where they were assigned, which hides what the canary does, so somebody has to
    look.
#}
{{ config(severity='warn') }}

with decisions as (
    select * from {{ ref('fct_canary_decisions') }}
)

select
    deployment_id,
    look,
    n_misassigned_users,
    n_mixed_users,
    n_champion_users + n_canary_users as n_users
from decisions
where n_misassigned_users > 0.01 * (n_champion_users + n_canary_users)
