-- How are the weights of the training window's clicks spread?
with

weights as (

    select * from {{ ref('int_click_weights') }}
    where clicked = 1 and ips_weight > 0

),

-- eight bins an octave are fine enough for a picture and few enough for any log
binned as (

    select
        ips_weight,
        floor(ln(ips_weight) / ln(2) * 8 + 1e-9) as bin
    from weights

),

final as (

    select
        power(2, bin / 8) as bin_start,
        power(2, (bin + 1) / 8) as bin_end,
        count(*) as n_clicks,
        sum(ips_weight) as sum_weight,
        min(ips_weight) as min_weight,
        max(ips_weight) as max_weight
    from binned
    group by bin

)

select * from final
order by bin_start
