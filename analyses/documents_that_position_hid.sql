-- Which documents look poor by their clicks, and good once position is taken into account?
with

labels as (

    select * from {{ ref('fct_weak_labels') }}

),

ranked as (

    select
        query,
        doc_id,
        n_impressions,
        n_clicks,
        naive_ctr,
        ips_ctr,
        row_number() over (partition by query order by naive_ctr desc, doc_id) as naive_place,
        row_number() over (partition by query order by ips_ctr desc, doc_id) as debiased_place
    from labels
    where n_impressions >= 20

),

final as (

    select
        *,
        naive_place - debiased_place as places_gained
    from ranked

)

select * from final
where places_gained > 0
order by places_gained desc, n_impressions desc, query, doc_id
limit 50
