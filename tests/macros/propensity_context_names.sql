with impressions as (
    select 'mobile' as device, cast(null as varchar(10)) as application
)

select *
from impressions
where
    {{ propensity_context([]) }} <> 'all'
    or {{ propensity_context(['device']) }} <> 'device=mobile'
    or {{ propensity_context(['device', 'application']) }}
    <> 'device=mobile|application=unknown'
