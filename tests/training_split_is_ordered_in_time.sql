-- no click that is fitted happens after one that validates, and validation is not the larger part
{{ config(group='training') }}

with sides as (
    select
        count(*) as n_clicks,
        sum(case when is_validation then 1 else 0 end) as n_validation_clicks,
        max(case when not is_validation then searched_at end) as last_fitted_at,
        min(case when is_validation then searched_at end) as first_validated_at
    from {{ ref('int_training_clicks') }}
)

select *
from sides
where last_fitted_at >= first_validated_at
