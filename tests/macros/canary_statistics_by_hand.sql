{#
    Arithmetic small enough to follow. Two users with 1 of 2 and 0 of 2: R = 1/4, residuals 1/2
    and -1/2, so the variance is (1/4 + 1/4) / 4^2 = 1/32. With alpha = exp(-1/2), -2 ln(alpha) is 1
    and rho^2 = (1 + ln 2) / n_star, so n = n_star gives n rho^2 = 1.6931. A planned split of one
    half, met by one user of each arm, has a Bayes factor of 2 * 5000 * 5000 / (10000 * 10001) * 2.
#}
{% set alpha = 0.6065306597126334 %}

with checks as (
    select
        'delta method' as name,
        {{ delta_method_variance(1, 4, 1, 8, 2) }} as found,
        cast(1 as double) / 32 as expected
    union all
    select
        'delta method, no spread',
        {{ delta_method_variance(3, 6, 9, 36, 18) }},
        0
    union all
    select
        'n rho squared',
        {{ n_rho_squared(100, alpha, 100) }},
        1 + ln(2)
    union all
    select
        'half-width',
        {{ confidence_sequence_halfwidth(2, 100, alpha, 100) }},
        2 * sqrt((2 + ln(2)) / (1 + ln(2)) * (ln(2 + ln(2)) + 1))
    union all
    select
        'e-value without a difference',
        {{ e_value('cast(0 as double)', 1, 100, alpha, 100) }},
        1 / sqrt(2 + ln(2))
    union all
    select
        'sample ratio, one of each',
        {{ srm_log_bayes_factor(1, 1, 0.5) }},
        ln(cast(5000 as double) * 5000 / 10000 / 10001 * 4)
    union all
    select
        'sample ratio, nobody',
        {{ srm_log_bayes_factor(0, 0, 0.05) }},
        0
)

select *
from checks
where found is null or abs(found - expected) > 1e-9
