-- weights 1, 1, 2: 4 ^ 2 / 6; equal weights: their number; no rows: null
with cases as (
    select 'uneven' as name, 1 as weight, cast(16 as double) / 6 as expected
    union all
    select 'uneven', 1, cast(16 as double) / 6
    union all
    select 'uneven', 2, cast(16 as double) / 6
    union all
    select 'even', 7, 2
    union all
    select 'even', 7, 2
),

sizes as (
    select
        name,
        max(expected) as expected,
        {{ effective_sample_size('weight') }} as actual
    from cases
    group by name
    union all
    select
        'none' as name,
        cast(null as double) as expected,
        {{ effective_sample_size('weight') }} as actual
    from cases
    where false
)

select *
from sizes
where
    actual is distinct from expected
    and coalesce(abs(actual - expected) > 1e-12, true)
