-- md5('salt-u7') and its neighbours, whose first eight digits were read off once
with cases as (
    select 'u1' as user_id, 7464 as expected
    union all
    select 'u2', 3104
    union all
    select 'u4', 8318
    union all
    select 'u7', 1451
)

select *
from cases
where {{ assignment_bucket("'salt'", 'user_id') }} <> expected
