{#
    Discounts at ranks whose logarithms are whole, and below the depth; Poisson(1) at the edges of its
    first steps; 1 / 0.
#}
with checks as (
    select
        'discount of rank 1' as name,
        {{ rank_discount(1) }} as found,
        cast(1 as double) as expected
    union all
    select 'discount of rank 3', {{ rank_discount(3) }}, cast(0.5 as double)
    union all
    select 'discount of rank 7', {{ rank_discount(7) }}, cast(1 as double) / 3
    union all
    select 'discount of rank 11', {{ rank_discount(11) }}, cast(0 as double)
    union all
    select 'discount of rank 3 at depth 2', {{ rank_discount(3, 2) }}, cast(0 as double)
    union all
    select 'Poisson, 0', {{ poisson_weight('cast(0 as double)') }}, cast(0 as double)
    union all
    select 'Poisson, below 1 / e', {{ poisson_weight('cast(0.3678 as double)') }}, cast(0 as double)
    union all
    select 'Poisson, above 1 / e', {{ poisson_weight('cast(0.3679 as double)') }}, cast(1 as double)
    union all
    select 'Poisson, near 1', {{ poisson_weight('cast(0.99999999 as double)') }}, cast(9 as double)
    union all
    select 'ratio', {{ ratio(1, 4) }}, cast(0.25 as double)
    union all
    select 'ratio without a denominator', coalesce({{ ratio(1, 0) }}, -1), cast(-1 as double)
)

select *
from checks
where found is null or abs(found - expected) > 1e-12
