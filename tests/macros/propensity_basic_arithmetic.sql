-- the arithmetic everything else rests on, to three decimals
with cases as (
    select 1 as rank, 1 as clicked, cast(1.000 as double) as expected
    union all
    select 2, 1, cast(1.516 as double)
    union all
    select 3, 1, cast(1.933 as double)
    union all
    select 10, 1, cast(3.981 as double)
    union all
    select 1, 0, cast(0.000 as double)
    union all
    select 3, 0, cast(0.000 as double)
    union all
    -- 1000 ^ 0.6 = 63.1, cut at 20
    select 1000, 1, cast(20.000 as double)
),

labels as (
    select
        *,
        {{ ips_label('clicked', power_law_propensity('rank', 0.6), 20) }} as label
    from cases
)

select *
from labels
where label is null or round(label, 3) <> expected
