-- least() skips nulls: without its guard a missing propensity would weigh as much as the clip
with cases as (
    select cast(null as double) as propensity
    union all
    select cast(0 as double)
    union all
    select cast(-0.5 as double)
)

select *
from cases
where {{ ips_weight('propensity', 20) }} is not null
